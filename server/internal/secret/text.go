package secret

import (
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// ParseText returns the text of a file that holds one secret value of up to MaxSize bytes, such as
// a signing secret, an API key or a password; it is the Parse of a watch.Value. See Text.
func ParseText(contents [][]byte, _ sensitive.String) (sensitive.String, error) {
	value := Text(string(contents[0]))
	return value, check(value)
}

// Text returns the secret in a text, from wherever it comes. One trailing newline, "\n" or "\r\n",
// is dropped, since editors and echo add it; nothing else is.
func Text(text string) sensitive.String {
	text, found := strings.CutSuffix(text, "\n")
	if found {
		text = strings.TrimSuffix(text, "\r")
	}
	return sensitive.New(text)
}

// ReadText returns the text of a file as ParseText does. Errors name the path and no content.
func ReadText(path string) (sensitive.String, error) {
	return watch.New(nil, watch.Options[sensitive.String]{Paths: []string{path}, Parse: ParseText}).Current()
}
