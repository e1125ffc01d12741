// A stand-in for the vendor: serves a stub of its script, and checks tokens as
// Kustomer would. Its checks are its own, with jsonwebtoken: it shares nothing
// with the sidecar but the secret.
import express from 'express';
import jwt from 'jsonwebtoken';

const maxAge = 15 * 60; // seconds

/**
 * @param {{secret: string, now?: () => number}} options now: Kustomer's clock, milliseconds
 * @returns {import('express').Express}
 */
export function standin({ secret, now = Date.now }) {
  const app = express();
  app.use((request, response, next) => {
    response.set('Access-Control-Allow-Origin', '*');
    next();
  });
  app.get('/widget.js', (request, response) => {
    response.sendFile('widget.js', { root: import.meta.dirname });
  });
  app.post('/log-in', express.text(), (request, response) => {
    try {
      response.json(identify(request.body, secret, Math.floor(now() / 1000)));
    } catch (error) {
      response.status(401).json({ error: error.message });
    }
  });
  return app;
}

function identify(token, secret, now) {
  const claims = jwt.verify(token, secret, { algorithms: ['HS256'], ignoreExpiration: true });
  if (!Number.isInteger(claims.iat) || claims.iat > now) throw new Error('iat is not in the past');
  if (now - claims.iat >= maxAge) throw new Error('the token is 15 minutes old or older');
  if (claims.email) return { email: claims.email }; // with both, the email counts
  if (claims.externalId) return { externalId: claims.externalId };
  throw new Error('the token names nobody');
}
