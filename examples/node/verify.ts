// Checks tokens with jsonwebtoken: each token of a file such as
// server/internal/token/testdata/vectors.json must be signed with its secret
// and hold its claims and nothing else.
import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';

import jwt from 'jsonwebtoken';

interface Vector {
  name: string;
  secret: string;
  external_id?: string;
  email?: string;
  iat: number;
  token: string;
}

const vectors: Vector[] = JSON.parse(readFileSync(process.argv[2]!, 'utf8'));
for (const { name, secret, external_id: externalId, email, iat, token } of vectors) {
  try {
    const claims = jwt.verify(token, secret, { algorithms: ['HS256'] });
    deepStrictEqual(claims, { ...(externalId && { externalId }), ...(email && { email }), iat });
  } catch (error) {
    console.error(`${name}: ${error}`);
    process.exit(1);
  }
}
console.log(`${vectors.length} tokens verified with jsonwebtoken`);
