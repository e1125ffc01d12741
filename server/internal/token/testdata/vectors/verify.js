// Reads what `chatidentity dev --exit --output json` prints and checks the token
// with `jsonwebtoken`, under the secret that is shown.
'use strict';
const assert = require('assert');
const jwt = require('jsonwebtoken');

const shown = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const {header, payload} = jwt.verify(shown.token, shown.secret, {algorithms: ['HS256'], maxAge: '15m', complete: true});
assert.deepStrictEqual(header, {alg: 'HS256', typ: 'JWT'});
assert.deepStrictEqual(Object.keys(payload), ['externalId', 'iat']);
assert.strictEqual(payload.externalId, 'user_id');
assert(Number.isInteger(payload.iat));
console.log('jsonwebtoken accepts the token of `dev`:', JSON.stringify(payload));
