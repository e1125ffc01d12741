package rpc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// errorDomain is the domain of our ErrorInfo details.
const errorDomain = "chatidentity"

// refusal is an error of the chain: what the client sees, and the cause, which only the log sees.
type refusal struct {
	reason  pb.ErrorReason
	message string // fixed text, which contains no value of a request
	details []protoadapt.MessageV1
	cause   error
}

// reasonCodes is the contract's table of reasons and codes.
var reasonCodes = map[pb.ErrorReason]codes.Code{
	pb.ErrorReason_ERROR_REASON_INVALID_CUSTOMER:       codes.InvalidArgument,
	pb.ErrorReason_ERROR_REASON_UNKNOWN_ORGANIZATION:   codes.InvalidArgument,
	pb.ErrorReason_ERROR_REASON_INVALID_TOKEN_SIZE:     codes.InvalidArgument,
	pb.ErrorReason_ERROR_REASON_CALLER_UNAUTHENTICATED: codes.Unauthenticated,
	pb.ErrorReason_ERROR_REASON_CALLER_DENIED:          codes.PermissionDenied,
	pb.ErrorReason_ERROR_REASON_USER_UNPROVEN:          codes.PermissionDenied,
	pb.ErrorReason_ERROR_REASON_USER_MISMATCH:          codes.PermissionDenied,
	pb.ErrorReason_ERROR_REASON_RATE_LIMITED:           codes.ResourceExhausted,
	pb.ErrorReason_ERROR_REASON_METADATA_TOO_LARGE:     codes.ResourceExhausted,
	pb.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE:      codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_SECRET_UNAVAILABLE:     codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_LIMITER_UNAVAILABLE:    codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_CLOCK_SKEWED:           codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_PROOF_UNAVAILABLE:      codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_NOT_CONFIGURED:         codes.Unavailable,
	pb.ErrorReason_ERROR_REASON_INTERNAL:               codes.Internal,
}

// Error is for the log: it includes the cause.
func (r *refusal) Error() string {
	if r.cause == nil {
		return r.reasonName() + ": " + r.message
	}
	return r.reasonName() + ": " + r.cause.Error()
}

func (r *refusal) Unwrap() error { return r.cause }

func (r *refusal) code() codes.Code {
	if c, ok := reasonCodes[r.reason]; ok {
		return c
	}
	return codes.Internal
}

// isCallersFault reports whether the caller could have spared us the call: no outage is its fault.
func (r *refusal) isCallersFault() bool {
	return r.code() != codes.Unavailable && r.code() != codes.Internal
}

// isOfProof reports whether the user's ID token is at fault.
func (r *refusal) isOfProof() bool {
	return r.reason == pb.ErrorReason_ERROR_REASON_USER_UNPROVEN || r.reason == pb.ErrorReason_ERROR_REASON_USER_MISMATCH
}

// codeName returns the code in capitals, as audit records hold it.
func (r *refusal) codeName() string {
	return code.Code(r.code()).String() //nolint:gosec // codes are 0 to 16
}

// reasonName returns the reason as ErrorInfo and audit records hold it.
func (r *refusal) reasonName() string {
	return strings.TrimPrefix(r.reason.String(), "ERROR_REASON_")
}

// GRPCStatus is what the client sees of a refusal without an audit ID.
func (r *refusal) GRPCStatus() *status.Status { return r.status(map[string]string{}) }

// audited returns what the client sees.
func (r *refusal) audited(auditID string) error {
	return r.status(map[string]string{"audit_id": auditID}).Err()
}

func (r *refusal) status(metadata map[string]string) *status.Status {
	bare := status.New(r.code(), r.message)
	info := &errdetails.ErrorInfo{Reason: r.reasonName(), Domain: errorDomain, Metadata: metadata}
	detailed, err := bare.WithDetails(append([]protoadapt.MessageV1{info}, r.details...)...)
	if err != nil { // only for a detail that cannot be encoded
		return bare
	}
	return detailed
}

// asRefusal makes an INTERNAL of an error that no step of the chain meant for the client.
func asRefusal(err error) *refusal {
	if err == nil { // before anything is allocated
		return nil
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	return internal(err)
}

// internal is the refusal for a fault of the sidecar.
func internal(cause error) *refusal {
	return &refusal{
		reason:  pb.ErrorReason_ERROR_REASON_INTERNAL,
		message: "internal error; the sidecar's log names the cause under the audit_id",
		cause:   cause,
	}
}

func invalidCustomer(violations []customer.Violation) *refusal {
	fields := make([]string, len(violations))
	badRequest := &errdetails.BadRequest{}
	for i, violation := range violations {
		fields[i] = violation.Field + " " + violation.Description
		badRequest.FieldViolations = append(badRequest.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: violation.Field, Description: violation.Description,
		})
	}
	return &refusal{
		reason:  pb.ErrorReason_ERROR_REASON_INVALID_CUSTOMER,
		message: strings.Join(fields, "; "),
		details: []protoadapt.MessageV1{badRequest},
	}
}

func invalidField(reason pb.ErrorReason, field, description string) *refusal {
	return &refusal{
		reason:  reason,
		message: field + " " + description,
		details: []protoadapt.MessageV1{&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: description}},
		}},
	}
}

func rateLimited(limit ratelimit.Limit, retryAfter time.Duration) *refusal {
	return &refusal{
		reason:  pb.ErrorReason_ERROR_REASON_RATE_LIMITED,
		message: "the " + limit.String() + " rate limit is reached; retry after the delay in RetryInfo",
		details: []protoadapt.MessageV1{
			&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)},
			&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
				Subject: limit.String(), Description: limit.Description(),
			}}},
		},
	}
}

func metadataTooLarge() *refusal {
	return &refusal{
		reason:  pb.ErrorReason_ERROR_REASON_METADATA_TOO_LARGE,
		message: fmt.Sprintf("the metadata of the call takes more than %d KiB", maxMetadata>>10),
	}
}

func unavailable(reason pb.ErrorReason, message string, cause error) *refusal {
	return &refusal{reason: reason, message: message, cause: cause}
}
