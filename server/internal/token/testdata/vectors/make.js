// Prints the test vectors: tokens made as the vendor's page shows it, with
// `jsonwebtoken`. `npm ci && npm run make` writes ../vectors.json anew;
// `npm run check` shows that it is what this script makes.
'use strict';
const jwt = require('jsonwebtoken');

const secret = 'vector-secret-0123456789abcdef-vector';
const iat = 1767225600; // 2026-01-01T00:00:00Z
const longestEmail = 'a'.repeat(254 - '@example.com'.length) + '@example.com';

const cases = [
  ['the vendor\'s example', {externalId: 'user_id'}],
  ['email', {email: 'ada@example.com'}],
  ['both', {externalId: 'user_id', email: 'ada@example.com'}],
  ['digits', {externalId: '0012345'}],
  ['uuid', {externalId: '0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70'}],
  ['plus and capitals', {email: 'Ada.Lovelace+chat@Example.COM'}],
  ['html', {externalId: '<b>&"quoted"</b>'}],
  ['backslash', {externalId: 'DOMAIN\\user\\u0041'}],
  ['slash', {externalId: 'a/b'}],
  ['line separators', {externalId: 'a\u2028b\u2029c'}],
  ['latin, greek, cyrillic', {externalId: 'ÀÉÎõü Ωμέγα Привет'}],
  ['chinese, arabic, hebrew', {externalId: '顧客 زبون לקוח'}],
  ['combining and zero width', {externalId: 'e\u0301\u200d\u200bx\ufeffy'}],
  ['emoji', {externalId: '🦄👩‍👩‍👧‍👦🏳️‍🌈'}],
  ['astral planes', {externalId: '𝕏\u{10ffff}'}],
  ['international email', {email: 'δοκιμή@παράδειγμα.gr'}],
  ['email with symbols', {email: '!#$%&\'*+/=?^_`{|}~-@example.com'}],
  ['inner space', {externalId: 'user 1'}],
  ['longest external id', {externalId: 'x'.repeat(512)}],
  ['longest external id, all escaped', {externalId: '"\\'.repeat(256)}],
  ['longest external id, three bytes each', {externalId: '語'.repeat(170) + 'xx'}],
  ['longest email', {email: longestEmail}],
  ['longest of both', {externalId: '"'.repeat(512), email: longestEmail}],
  ['first second', {externalId: 'user_id'}, 1],
  ['last second', {externalId: 'user_id'}, 253402300799],
  ['secret in unicode', {externalId: 'user_id'}, iat, 'geheimnis-ß-秘密-🦄-0123456789'],
  ['secret that looks like base64', {externalId: 'user_id'}, iat, 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=='],
  ['short secret', {externalId: 'user_id'}, iat, 'SECRET_KEY'],
  ['secret longer than a block', {externalId: 'user_id'}, iat, 's'.repeat(100)],
];

const vectors = cases.map(([name, claims, at = iat, key = secret]) => ({
  name,
  secret: key,
  external_id: claims.externalId,
  email: claims.email,
  iat: at,
  token: jwt.sign({...claims, iat: at}, key, {header: {alg: 'HS256', typ: 'JWT'}}),
}));
console.log(JSON.stringify(vectors, null, 2));
