// Sends large metadata beside calls of others on one channel, then an ID token.
// Prints the code of each size, and how many calls of others failed.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { Client, credentials, Metadata, status } = createRequire(`${process.cwd()}/`)('@grpc/grpc-js');
const [address, sizes, others, tokenFile] = process.argv.slice(2);
const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });

function call(method, message, header, value) {
  const metadata = new Metadata();
  if (header) metadata.set(header, value);
  return new Promise((resolve) => {
    client.makeUnaryRequest(`/chatidentity.v1.ChatIdentityService/${method}`, (b) => b, (b) => b, message, metadata,
      { deadline: Date.now() + 10000 }, (error) => resolve(status[error?.code ?? status.OK]));
  });
}

const count = async (calls) => {
  const counts = {};
  for (const code of await Promise.all(calls)) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
};
const verify = (...metadata) => call('VerifyToken', Buffer.from('\x0a\x01x'), ...metadata);
const sent = Object.fromEntries(JSON.parse(sizes).map((size) => [size, []]));
const beside = [];
for (let n = 0; n < Number(others); n++) {
  beside.push(verify());
  if (n % 20 === 0) for (const size in sent) sent[size].push(verify('x-long', 'x'.repeat(Number(size))));
  if (n % 100 === 99) await Promise.all(beside);
}
const answer = { sizes: {}, others: await count(beside) };
for (const size in sent) answer.sizes[size] = await count(sent[size]);
const token = readFileSync(tokenFile, 'ascii');
answer.proven = await call('IssueToken', Buffer.from('\x0a\x05\x0a\x03ada'), 'x-user-id-token', token);
console.log(JSON.stringify(answer));
client.close();
