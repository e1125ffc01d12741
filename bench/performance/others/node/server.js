// What a Node user would write instead of the sidecar: Express, and jsonwebtoken as the vendor shows
// it. With KEY_OBJECT set, the secret is made into a key once instead of in every call.
const { createSecretKey } = require('node:crypto');
const express = require('express');
const jwt = require('jsonwebtoken');

const secret = process.env.SECRET_KEY;
const key = process.env.KEY_OBJECT ? createSecretKey(Buffer.from(secret)) : secret;

const app = express();
app.use(express.json());
app.post('/chat-token', (request, response) => {
  const claims = { externalId: request.body.external_id };
  response.json({ token: jwt.sign(claims, key, { header: { alg: 'HS256', typ: 'JWT' } }) });
});
app.listen(Number(process.env.PORT), '127.0.0.1');
