package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// arrival is what place saw of a call, and the context from there on. To find either in the context
// that grpc makes is dear, above all a header that the call does not have.
type arrival struct {
	context.Context //nolint:containedctx // see above

	connection *listen.Connection
	headers    metadata.MD // grpc's own: not to be changed
	size       int         // of the headers, as HTTP/2 counts them
}

// isTooLarge reports whether the call is to be refused for its metadata, once its caller is known.
func (a *arrival) isTooLarge() bool { return a.size > maxMetadata }

// refusals is how many refusals it costs to refuse the call: to read 8 KiB of metadata costs as much as
// to answer.
func (a *arrival) refusals() int {
	const asDear = 8 << 10
	return 1 + a.size/asDear
}

type arrivalKey struct{}

// Value implements context.Context.
func (a *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// arrivalOf returns the arrival of a call. One that place has not seen is nobody's.
func arrivalOf(ctx context.Context) *arrival {
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		return a
	}
	return &arrival{connection: &listen.Connection{}}
}

// first returns the first value of a header, or nothing.
func (a *arrival) first(header string) string {
	if values := a.headers[header]; len(values) > 0 {
		return values[0]
	}
	return ""
}
