package redis

import (
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// cause says why the server did not answer within the timeout, in words of our own: what a server
// says may repeat the password. Of an error that it sent, only the code is kept.
func cause(err error, timeout time.Duration) error {
	var (
		password *passwordError
		reply    goredis.Error
	)
	switch {
	case errors.As(err, &password):
		return password
	case errors.Is(err, goredis.ErrPoolTimeout):
		return errors.New("no connection was free within " + timeout.String())
	case errors.As(err, &reply):
		return errors.New("error " + errorCode(reply))
	}
	if text := retry.Explain(err, timeout); text != "" {
		return errors.New(text)
	}
	return errNotRedis
}

// maxCode is longer than any of a server's error codes.
const maxCode = 16

// errorCode is the first word of an error reply, if it is one of a server's codes.
func errorCode(reply goredis.Error) string {
	code, _, _ := strings.Cut(reply.Error(), " ")
	if code == "" || len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "without a code"
	}
	return code
}
