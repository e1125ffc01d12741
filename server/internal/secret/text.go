package secret

import (
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// ParseText returns the text of a file that holds one secret value of up to MaxSize bytes, such as
// a signing secret, an API key or a password; it is the Parse of a watch.Value. One trailing
// newline, "\n" or "\r\n", is dropped, since editors and echo add it; nothing else is.
func ParseText(contents [][]byte, _ sensitive.String) (sensitive.String, error) {
	text, found := strings.CutSuffix(string(contents[0]), "\n")
	if found {
		text = strings.TrimSuffix(text, "\r")
	}
	value := sensitive.New(text)
	return value, check(value)
}

// ReadText returns the text of a file as ParseText does. Errors name the path and no content.
func ReadText(path string) (sensitive.String, error) {
	return watch.New(nil, watch.Options[sensitive.String]{Paths: []string{path}, Parse: ParseText}).Current()
}
