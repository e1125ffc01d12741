import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { type CallOptions, type ChannelCredentials, Client, type ClientOptions, type ClientUnaryCall, type handleUnaryCall, type Metadata, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
export declare const protobufPackage = "chatidentity.v1";
export declare const protobufFileName = "chatidentity/v1/chat_identity_service.proto";
/** Identifier names one of the two ways to say who a customer is. */
export declare enum Identifier {
    /** IDENTIFIER_UNSPECIFIED - Not said. */
    IDENTIFIER_UNSPECIFIED = 0,
    /** IDENTIFIER_EXTERNAL_ID - `Customer.external_id`, the ID in the app's own database. */
    IDENTIFIER_EXTERNAL_ID = 1,
    /** IDENTIFIER_EMAIL - `Customer.email`, the email address. */
    IDENTIFIER_EMAIL = 2,
    UNRECOGNIZED = -1
}
/**
 * Verdict is what Kustomer would say of a token now. Where more than one
 * applies, the order is: malformed, bad signature, previous secret, expired,
 * not yet valid.
 */
export declare enum Verdict {
    /** VERDICT_UNSPECIFIED - Not said. */
    VERDICT_UNSPECIFIED = 0,
    /** VERDICT_ACCEPTED - Kustomer would log the customer in. */
    VERDICT_ACCEPTED = 1,
    /** VERDICT_EXPIRED - The token's `iat` is 15 minutes old or older. */
    VERDICT_EXPIRED = 2,
    /**
     * VERDICT_NOT_YET_VALID - The token's `iat` lies in the future by more than the allowed clock skew
     * (5 minutes unless configured otherwise).
     */
    VERDICT_NOT_YET_VALID = 3,
    /** VERDICT_BAD_SIGNATURE - The token was signed with a secret that is not the organization's. */
    VERDICT_BAD_SIGNATURE = 4,
    /**
     * VERDICT_MALFORMED - Not a JWT, not signed with HS256, or without usable claims: an `iat` in
     * whole seconds and at least one identifier that is a string and not empty. A
     * whole number above 0 counts as an external ID too: Kustomer takes it.
     */
    VERDICT_MALFORMED = 5,
    /**
     * VERDICT_PREVIOUS_SECRET - The token was signed with the secret that the organization had before the
     * last change, which Kustomer no longer accepts.
     */
    VERDICT_PREVIOUS_SECRET = 6,
    UNRECOGNIZED = -1
}
/**
 * ErrorReason is why a call was refused or failed: the `reason` of the
 * `google.rpc.ErrorInfo` on the error, without the prefix `ERROR_REASON_`. New
 * values may be added; treat an unknown one by its gRPC code.
 */
export declare enum ErrorReason {
    /** ERROR_REASON_UNSPECIFIED - Not said. */
    ERROR_REASON_UNSPECIFIED = 0,
    /**
     * ERROR_REASON_INVALID_CUSTOMER - INVALID_ARGUMENT. The customer breaks a rule of `Customer`, or the
     * sidecar's identifier policy. `google.rpc.BadRequest` names each field and
     * what is wrong with it, and never repeats a value. Do not retry.
     */
    ERROR_REASON_INVALID_CUSTOMER = 1,
    /**
     * ERROR_REASON_UNKNOWN_ORGANIZATION - INVALID_ARGUMENT. The sidecar has no organization of that name. Do not
     * retry.
     */
    ERROR_REASON_UNKNOWN_ORGANIZATION = 2,
    /**
     * ERROR_REASON_INVALID_TOKEN_SIZE - INVALID_ARGUMENT. The token to verify is empty or over 4,096 bytes. Do not
     * retry.
     */
    ERROR_REASON_INVALID_TOKEN_SIZE = 3,
    /** ERROR_REASON_CALLER_UNAUTHENTICATED - UNAUTHENTICATED. The caller did not prove who it is. Do not retry. */
    ERROR_REASON_CALLER_UNAUTHENTICATED = 4,
    /** ERROR_REASON_CALLER_DENIED - PERMISSION_DENIED. The caller is known and may not do this. Do not retry. */
    ERROR_REASON_CALLER_DENIED = 5,
    /**
     * ERROR_REASON_USER_UNPROVEN - PERMISSION_DENIED. This caller must send a valid ID token of the user and
     * did not. Do not retry without one.
     */
    ERROR_REASON_USER_UNPROVEN = 6,
    /**
     * ERROR_REASON_USER_MISMATCH - PERMISSION_DENIED. The ID token belongs to somebody other than the
     * customer in the request. Do not retry.
     */
    ERROR_REASON_USER_MISMATCH = 7,
    /**
     * ERROR_REASON_RATE_LIMITED - RESOURCE_EXHAUSTED. A rate limit was reached. `google.rpc.QuotaFailure`
     * names it (`global`, `caller` or `customer`), and `google.rpc.RetryInfo`
     * says after which delay a call passes. Do not retry before.
     */
    ERROR_REASON_RATE_LIMITED = 8,
    /**
     * ERROR_REASON_AUDIT_UNAVAILABLE - UNAVAILABLE. The audit record could not be written, so no token was
     * returned. Safe to retry.
     */
    ERROR_REASON_AUDIT_UNAVAILABLE = 9,
    /**
     * ERROR_REASON_SECRET_UNAVAILABLE - UNAVAILABLE. The organization's signing secret is not there: not yet
     * fetched, or too old. Safe to retry.
     */
    ERROR_REASON_SECRET_UNAVAILABLE = 10,
    /**
     * ERROR_REASON_LIMITER_UNAVAILABLE - UNAVAILABLE. The shared rate limiter cannot be reached, and the sidecar is
     * configured to refuse then. Safe to retry.
     */
    ERROR_REASON_LIMITER_UNAVAILABLE = 11,
    /**
     * ERROR_REASON_CLOCK_SKEWED - UNAVAILABLE. The sidecar's clock is too far from Kustomer's for its tokens
     * to be accepted. Safe to retry.
     */
    ERROR_REASON_CLOCK_SKEWED = 12,
    /**
     * ERROR_REASON_PROOF_UNAVAILABLE - UNAVAILABLE. The keys that prove the user's ID token are not to be had.
     * Safe to retry.
     */
    ERROR_REASON_PROOF_UNAVAILABLE = 13,
    /**
     * ERROR_REASON_INTERNAL - INTERNAL. A fault of the sidecar; its log names the cause under the audit
     * ID. Do not retry.
     */
    ERROR_REASON_INTERNAL = 14,
    /**
     * ERROR_REASON_METADATA_TOO_LARGE - RESOURCE_EXHAUSTED. The metadata of the call takes more than 48 KiB, as
     * HTTP/2 counts it. Do not retry.
     */
    ERROR_REASON_METADATA_TOO_LARGE = 15,
    /**
     * ERROR_REASON_NOT_CONFIGURED - UNAVAILABLE. A file of the sidecar's configuration is missing or wrong, so
     * it answers nobody until the file is mended. Safe to retry.
     */
    ERROR_REASON_NOT_CONFIGURED = 16,
    UNRECOGNIZED = -1
}
/**
 * Customer is the person whom a token identifies, by one identifier or both.
 * At least one must be given.
 *
 * Values are signed exactly as given. A value that holds control characters, or
 * that begins or ends with white space or an invisible character, is refused and
 * never repaired: another string is another person.
 */
export interface Customer {
    /**
     * The ID of the customer in the app's own database, Kustomer's `externalId`.
     * Up to 512 bytes of UTF-8. Kustomer finds or creates its customer with it.
     */
    externalId: string;
    /**
     * The customer's email address: one bare address such as `ada@example.com`,
     * up to 254 bytes, with no display name and no angle brackets. Dots may follow
     * one another or stand before the `@`, as in addresses of Japanese carriers.
     * Spaces, invisible characters and bidirectional controls are refused.
     *
     * Send only an address that your system has verified as this user's. With
     * both identifiers Kustomer uses this one and ignores `external_id`, so an
     * unverified address shows its owner's conversations to somebody else.
     */
    email: string;
}
/**
 * IssueTokenRequest says for whom to sign, and with which organization's
 * secret.
 */
export interface IssueTokenRequest {
    /** The authenticated user. Required. */
    customer: Customer | undefined;
    /**
     * The Kustomer organization by the name that the sidecar's configuration
     * gives it. Empty: the default organization. An unknown one is refused with
     * INVALID_ARGUMENT and `ERROR_REASON_UNKNOWN_ORGANIZATION`.
     */
    organization: string;
}
/** IssueTokenResponse is a signed token and what to know about it. */
export interface IssueTokenResponse {
    /**
     * The token: a JWT in compact form, signed with HS256, that holds the
     * identifiers, `iat`, and nothing else. At most 4,096 bytes. A secret of the
     * customer's: hand it to that customer's app and do not log it.
     */
    token: string;
    /** When the token was issued: its `iat`, in whole seconds. */
    issueTime: Date | undefined;
    /**
     * From when on Kustomer refuses the token: 15 minutes after `issue_time`. The
     * log-in must happen before; a session that was begun then goes on.
     */
    expireTime: Date | undefined;
    /**
     * The identifier that Kustomer will use: the email address when both are
     * signed. The app passes that one to the SDK's `isLoggedIn`.
     */
    loginIdentifier: Identifier;
    /**
     * The ID of this call's audit record, a UUID of version 7. It is not secret:
     * log it beside your own request ID.
     */
    auditId: string;
}
/** VerifyTokenRequest holds a token to check. */
export interface VerifyTokenRequest {
    /**
     * A token in compact form, 1 to 4,096 bytes. Another size is refused with
     * INVALID_ARGUMENT and `ERROR_REASON_INVALID_TOKEN_SIZE`.
     */
    token: string;
    /**
     * The organization whose secret should have signed the token, as in
     * `IssueTokenRequest`.
     */
    organization: string;
}
/**
 * VerifyTokenResponse is what Kustomer would say of the token now.
 *
 * `customer` and the fields up to `expire_time` are filled in only when the
 * signature is good: that is for `VERDICT_ACCEPTED`, `VERDICT_EXPIRED`,
 * `VERDICT_NOT_YET_VALID` and `VERDICT_PREVIOUS_SECRET`.
 */
export interface VerifyTokenResponse {
    /** What Kustomer would say. Only `VERDICT_ACCEPTED` would log anybody in. */
    verdict: Verdict;
    /** The identifiers in the token, as they were signed. */
    customer: Customer | undefined;
    /** The one of them that Kustomer would use. */
    loginIdentifier: Identifier;
    /** When the token was issued: its `iat`. */
    issueTime: Date | undefined;
    /** From when on Kustomer refuses the token: 15 minutes after `issue_time`. */
    expireTime: Date | undefined;
    /**
     * Why the token is not accepted, such as `no iat`: one of a fixed list of
     * phrases, each at most 64 bytes, that repeats no value of the token. Empty
     * for `VERDICT_ACCEPTED`. It is for people: phrases may be added and changed.
     */
    detail: string;
}
export declare const Customer: MessageFns<Customer>;
export declare const IssueTokenRequest: MessageFns<IssueTokenRequest>;
export declare const IssueTokenResponse: MessageFns<IssueTokenResponse>;
export declare const VerifyTokenRequest: MessageFns<VerifyTokenRequest>;
export declare const VerifyTokenResponse: MessageFns<VerifyTokenResponse>;
/**
 * ChatIdentityService signs the tokens with which apps log their users in to
 * Kustomer chat.
 *
 * It runs as a sidecar beside a backend that has already authenticated its
 * user. The backend says who the user is and gets a JSON Web Token (JWT) that
 * the app hands to the chat SDK: `logIn(jwt)` on Android, iOS and React Native,
 * `Kustomer.login({jwtToken})` on the web.
 *
 * Every error that this service itself returns carries a
 * `google.rpc.ErrorInfo` with the domain `chatidentity` and an `ErrorReason`
 * as its reason (the value's name without the prefix `ERROR_REASON_`), and the
 * call's `audit_id` in the metadata. Errors of the transport (a message that
 * cannot be decoded or is over 16 KiB, an unknown method or encoding) carry
 * none: they mean that the caller's set-up is wrong. Requests may be compressed
 * with gzip; replies never are.
 *
 * Chat must never decide whether an app runs: call with a deadline, and on any
 * error go on without chat log-in.
 */
export type ChatIdentityServiceService = typeof ChatIdentityServiceService;
export declare const ChatIdentityServiceService: {
    /**
     * IssueToken returns a signed token for one customer.
     *
     * The caller must have authenticated the user: whoever holds the token sees
     * that customer's conversations. Each token is recorded in the audit trail
     * before it is returned.
     *
     * It is safe to retry on UNAVAILABLE: tokens do not replace one another, and
     * nothing counts how often one is used. Two calls for the same identifiers in
     * the same second return the same token, each with its own `audit_id`. On
     * RESOURCE_EXHAUSTED wait for the delay in `google.rpc.RetryInfo` first. Do not
     * retry on any other code.
     *
     * A call spends all its rate limits or none: one that a limit refuses leaves the
     * others as they were. What a call has spent is not given back when it is refused
     * for another reason or fails later.
     */
    readonly issueToken: {
        readonly path: "/chatidentity.v1.ChatIdentityService/IssueToken";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: IssueTokenRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => IssueTokenRequest;
        readonly responseSerialize: (value: IssueTokenResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => IssueTokenResponse;
    };
    /**
     * VerifyToken says what Kustomer would say of a token now.
     *
     * It is meant for support and for tests; an app does not need it to log its
     * user in. A bad token is an answer with a verdict and not an error; claims
     * other than the customer's and `iat` are not judged. The call changes
     * nothing and is safe to retry as IssueToken is. It counts against the limits
     * of the process and of the caller, not of the customer.
     */
    readonly verifyToken: {
        readonly path: "/chatidentity.v1.ChatIdentityService/VerifyToken";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: VerifyTokenRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => VerifyTokenRequest;
        readonly responseSerialize: (value: VerifyTokenResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => VerifyTokenResponse;
    };
};
export interface ChatIdentityServiceServer extends UntypedServiceImplementation {
    /**
     * IssueToken returns a signed token for one customer.
     *
     * The caller must have authenticated the user: whoever holds the token sees
     * that customer's conversations. Each token is recorded in the audit trail
     * before it is returned.
     *
     * It is safe to retry on UNAVAILABLE: tokens do not replace one another, and
     * nothing counts how often one is used. Two calls for the same identifiers in
     * the same second return the same token, each with its own `audit_id`. On
     * RESOURCE_EXHAUSTED wait for the delay in `google.rpc.RetryInfo` first. Do not
     * retry on any other code.
     *
     * A call spends all its rate limits or none: one that a limit refuses leaves the
     * others as they were. What a call has spent is not given back when it is refused
     * for another reason or fails later.
     */
    issueToken: handleUnaryCall<IssueTokenRequest, IssueTokenResponse>;
    /**
     * VerifyToken says what Kustomer would say of a token now.
     *
     * It is meant for support and for tests; an app does not need it to log its
     * user in. A bad token is an answer with a verdict and not an error; claims
     * other than the customer's and `iat` are not judged. The call changes
     * nothing and is safe to retry as IssueToken is. It counts against the limits
     * of the process and of the caller, not of the customer.
     */
    verifyToken: handleUnaryCall<VerifyTokenRequest, VerifyTokenResponse>;
}
export interface ChatIdentityServiceClient extends Client {
    /**
     * IssueToken returns a signed token for one customer.
     *
     * The caller must have authenticated the user: whoever holds the token sees
     * that customer's conversations. Each token is recorded in the audit trail
     * before it is returned.
     *
     * It is safe to retry on UNAVAILABLE: tokens do not replace one another, and
     * nothing counts how often one is used. Two calls for the same identifiers in
     * the same second return the same token, each with its own `audit_id`. On
     * RESOURCE_EXHAUSTED wait for the delay in `google.rpc.RetryInfo` first. Do not
     * retry on any other code.
     *
     * A call spends all its rate limits or none: one that a limit refuses leaves the
     * others as they were. What a call has spent is not given back when it is refused
     * for another reason or fails later.
     */
    issueToken(request: IssueTokenRequest, callback: (error: ServiceError | null, response: IssueTokenResponse) => void): ClientUnaryCall;
    issueToken(request: IssueTokenRequest, metadata: Metadata, callback: (error: ServiceError | null, response: IssueTokenResponse) => void): ClientUnaryCall;
    issueToken(request: IssueTokenRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: IssueTokenResponse) => void): ClientUnaryCall;
    /**
     * VerifyToken says what Kustomer would say of a token now.
     *
     * It is meant for support and for tests; an app does not need it to log its
     * user in. A bad token is an answer with a verdict and not an error; claims
     * other than the customer's and `iat` are not judged. The call changes
     * nothing and is safe to retry as IssueToken is. It counts against the limits
     * of the process and of the caller, not of the customer.
     */
    verifyToken(request: VerifyTokenRequest, callback: (error: ServiceError | null, response: VerifyTokenResponse) => void): ClientUnaryCall;
    verifyToken(request: VerifyTokenRequest, metadata: Metadata, callback: (error: ServiceError | null, response: VerifyTokenResponse) => void): ClientUnaryCall;
    verifyToken(request: VerifyTokenRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: VerifyTokenResponse) => void): ClientUnaryCall;
}
export declare const ChatIdentityServiceClient: {
    new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>): ChatIdentityServiceClient;
    service: typeof ChatIdentityServiceService;
    serviceName: string;
};
type Builtin = Date | Function | Uint8Array | string | number | boolean | undefined;
export type DeepPartial<T> = T extends Builtin ? T : T extends globalThis.Array<infer U> ? globalThis.Array<DeepPartial<U>> : T extends ReadonlyArray<infer U> ? ReadonlyArray<DeepPartial<U>> : T extends {} ? {
    [K in keyof T]?: DeepPartial<T[K]>;
} : Partial<T>;
type KeysOfUnion<T> = T extends T ? keyof T : never;
export type Exact<P, I extends P> = P extends Builtin ? P : P & {
    [K in keyof P]: Exact<P[K], I[K]>;
} & {
    [K in Exclude<keyof I, KeysOfUnion<P>>]: never;
};
export interface MessageFns<T> {
    encode(message: T, writer?: BinaryWriter): BinaryWriter;
    decode(input: BinaryReader | Uint8Array, length?: number): T;
    create<I extends Exact<DeepPartial<T>, I>>(base?: I): T;
    fromPartial<I extends Exact<DeepPartial<T>, I>>(object: I): T;
}
export {};
