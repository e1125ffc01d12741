package kustomer

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/retry"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// document covers both forms of an answer: JSON:API, which the API sends, and the bare attributes
// that the vendor's documentation shows.
type document struct {
	Data *struct {
		Attributes *attributes `json:"attributes"`
	} `json:"data"`
	Attributes *attributes `json:"attributes"`
}

type attributes struct {
	Secret json.RawMessage `json:"secret"`
	Roles  json.RawMessage `json:"roles"`
}

// These errors never quote the body, which may contain the secret.
var (
	errNotJSON      = errors.New("the answer is not the expected JSON")
	errNoAttributes = errors.New("the answer has no attributes")
	errNoSecret     = errors.New("the answer has no attributes.secret that is text")
	errEmptySecret  = errors.New("the answer's secret is empty")
	errInexact      = errors.New("the answer's secret is not valid Unicode, so it cannot be read exactly")
)

// parseDocument returns the attributes in either form, or nil if there are none.
func parseDocument(body []byte) (*attributes, error) {
	var answer document
	if json.Unmarshal(body, &answer) != nil {
		return nil, errNotJSON
	}
	if answer.Data != nil && answer.Data.Attributes != nil {
		return answer.Data.Attributes, nil
	}
	return answer.Attributes, nil
}

func parseSecret(body []byte) (sensitive.String, error) {
	found, err := parseDocument(body)
	if err != nil {
		return sensitive.String{}, err
	}
	if found == nil {
		return sensitive.String{}, errNoAttributes
	}
	var secret *string
	if json.Unmarshal(found.Secret, &secret) != nil || secret == nil {
		return sensitive.String{}, errNoSecret
	}
	if *secret == "" {
		return sensitive.String{}, errEmptySecret
	}
	// encoding/json replaces invalid UTF-8 and unpaired surrogates with U+FFFD.
	if strings.ContainsRune(*secret, utf8.RuneError) {
		return sensitive.String{}, errInexact
	}
	return sensitive.New(*secret), nil
}

// parseRoles looks for the roles where a JSON:API user would have them. The vendor does not
// document where they are, so false means only that they were not found there.
func parseRoles(body []byte) ([]string, bool, error) {
	if !json.Valid(body) {
		return nil, false, errNotJSON
	}
	var roles []string
	if found, err := parseDocument(body); err == nil && found != nil && json.Unmarshal(found.Roles, &roles) == nil {
		for index := range roles {
			roles[index] = retry.Printable(roles[index])
		}
		return roles, roles != nil, nil
	}
	return nil, false, nil
}

// errorCode matches the vendor's error codes; anything else is left out.
var errorCode = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
})

// vendorError returns ", code: title" of the first error in either of the vendor's two error
// bodies, or "". Its free texts (message, detail, meta) are left out, and so is a title that
// repeats the API key.
func vendorError(body []byte, key sensitive.String) string {
	var failure struct {
		Errors []struct {
			Code  json.RawMessage `json:"code"`
			Title json.RawMessage `json:"title"`
		} `json:"errors"`
	}
	if len(body) > maxAnswer || json.Unmarshal(body, &failure) != nil || len(failure.Errors) == 0 {
		return ""
	}
	said := ""
	if code := text(failure.Errors[0].Code); errorCode().MatchString(code) && !strings.Contains(code, key.Reveal()) {
		said += ", " + code
	}
	if title := text(failure.Errors[0].Title); title != "" && !strings.Contains(title, key.Reveal()) {
		said += ", " + retry.Printable(title)
	}
	return said
}

// text returns a JSON string's text, or "" for any other JSON value.
func text(raw json.RawMessage) string {
	var value string
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return value
}
