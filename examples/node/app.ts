// A backend in TypeScript that lets its users chat as themselves: it logs a
// user in, and on POST /chat-token asks the sidecar for that user's token.
// Whatever the sidecar does, the rest of the backend goes on.
import { randomBytes } from 'node:crypto';

import { BinaryReader } from '@bufbuild/protobuf/wire';
import { ChannelCredentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import cookieSession from 'cookie-session';
import express, { type Request, type Response } from 'express';
import { Any, ErrorInfo, RetryInfo } from 'nice-grpc-error-details';

import {
  ChatIdentityServiceClient,
  Identifier,
  IssueTokenRequest,
  type IssueTokenResponse,
} from '../../gen/typescript/chatidentity/v1/chat_identity_service.js';

const deadline = 1000; // milliseconds, for all attempts together
// RESOURCE_EXHAUSTED is not retried: the sidecar says when to come back, and
// the browser is told.
const serviceConfig = {
  methodConfig: [{
    name: [{ service: 'chatidentity.v1.ChatIdentityService' }],
    retryPolicy: {
      maxAttempts: 3, initialBackoff: '0.05s', maxBackoff: '0.2s',
      backoffMultiplier: 2, retryableStatusCodes: ['UNAVAILABLE'],
    },
  }],
};
// Without a reason, any other code comes from gRPC itself: nobody gets a token until the set-up is
// mended.
const away = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED];

const chat = new ChatIdentityServiceClient(
  process.env.CHATIDENTITY_ADDRESS ?? '127.0.0.1:9451',
  ChannelCredentials.createInsecure(), // it never leaves the machine
  {
    'grpc.service_config': JSON.stringify(serviceConfig),
    'grpc.max_reconnect_backoff_ms': 5000, // else up to two minutes pass after a restart of the sidecar
    'grpc.enable_http_proxy': 0,
  },
);

function issueToken(request: IssueTokenRequest, metadata: Metadata): Promise<IssueTokenResponse> {
  return new Promise((resolve, reject) => {
    chat.issueToken(request, metadata, { deadline: Date.now() + deadline },
      (error, response) => (error ? reject(error) : resolve(response)));
  });
}

export const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(cookieSession({ name: 'session', keys: [randomBytes(32).toString('hex')], sameSite: 'lax' }));

app.get('/', (request, response) => {
  const user = String(request.session?.userId ?? '').replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  response.send(`<p>User: ${user}</p><form method=post action=/login><input name=user_id><button>Log in</button></form>`);
});

// Stands for the backend's own log-in: it believes what it is told.
app.post('/login', (request, response) => {
  request.session = { userId: String(request.body?.user_id ?? '') };
  response.redirect(303, '/');
});

app.post('/chat-token', async (request, response) => {
  response.set('Cache-Control', 'no-store');
  const user: string | undefined = request.session?.userId; // from the session, never from the request
  if (!user) {
    response.status(401).json({ error: 'not logged in' });
    return;
  }
  try {
    // A plain object would send an undefined field as the text "undefined".
    const issued = await issueToken(IssueTokenRequest.fromPartial({ customer: { externalId: user } }), trace(request));
    response.json({
      token: issued.token,
      login_identifier: issued.loginIdentifier === Identifier.IDENTIFIER_EMAIL ? 'email' : 'external_id',
      expire_time: issued.expireTime,
    });
  } catch (error) {
    refuse(response, error as ServiceError);
  }
});

// What connects the sidecar's records with this request.
function trace(request: Request): Metadata {
  const metadata = new Metadata();
  for (const name of ['x-request-id', 'traceparent']) {
    const value = request.get(name) ?? '';
    if (/^[A-Za-z0-9._:-]{1,128}$/.test(value)) metadata.set(name, value); // gRPC refuses other bytes
  }
  return metadata;
}

// Tells the browser to wait, or to do without chat log-in.
function refuse(response: Response, error: ServiceError): void {
  const { info, retry } = details(error);
  const isSetUp = !info?.reason && !away.includes(error.code);
  const why = info?.reason ? ` ${info.reason} audit_id=${info.metadata.audit_id}` : ''; // errors of gRPC itself have none
  console.error('%s: %s%s: %s',
    isSetUp ? 'ERROR: the set-up of chat is wrong' : 'no chat token', status[error.code], why, error.details);
  switch (error.code) {
    case status.RESOURCE_EXHAUSTED: {
      const { seconds = 1, nanos = 0 } = retry?.retryDelay ?? {};
      response.status(429).set('Retry-After', String(Number(seconds) + Math.ceil(nanos / 1e9)));
      response.json({ error: 'too many chat log-ins' });
      break;
    }
    case status.INVALID_ARGUMENT: // our own fault: the log names the rule that this user's ID breaks
      response.status(422).json({ error: 'this user cannot log in to chat' });
      break;
    default:
      response.json({ token: null });
  }
}

function details(error: ServiceError): { info?: ErrorInfo; retry?: RetryInfo } {
  const [packed] = error.metadata?.get('grpc-status-details-bin') ?? [];
  const found: { info?: ErrorInfo; retry?: RetryInfo } = {};
  for (const { typeUrl, value } of packed instanceof Buffer ? unpack(packed) : []) {
    if (typeUrl.endsWith('/google.rpc.ErrorInfo')) found.info = ErrorInfo.decode(value);
    if (typeUrl.endsWith('/google.rpc.RetryInfo')) found.retry = RetryInfo.decode(value);
  }
  return found;
}

// The library has the types of the details, and not google.rpc.Status, whose field 3 they are.
function* unpack(packed: Uint8Array): Generator<Any> {
  const reader = new BinaryReader(packed);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 3) yield Any.decode(reader.bytes());
    else reader.skip(type, field);
  }
}
