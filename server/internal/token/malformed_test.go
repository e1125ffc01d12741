package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// maxReason is how much of a reason an audit record holds.
const maxReason = 64

const (
	goodHeader = `{"alg":"HS256","typ":"JWT"}`
	goodClaims = `{"externalId":"canary_id","iat":1767225600}`
)

var encode = base64.RawURLEncoding.EncodeToString

// whole returns a token of any header and claims, whose signature is nobody's.
func whole(header, payload string) string {
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 32))
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := whole(goodHeader, goodClaims)
	if _, err := token.Parse(good); err != nil {
		t.Fatalf("the good token of this test is refused: %v", err)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, _, _ := strings.Cut(rest, ".")
	claims := func(text string) string { return whole(goodHeader, text) }
	header := func(text string) string { return whole(text, goodClaims) }
	const (
		notThree    = "it is not three parts with a dot between them"
		badPayload  = "the payload is not base64url of a JSON object"
		badHeader   = "the header is not base64url of a JSON object"
		otherAlg    = "the header names another alg than HS256"
		capitals    = "alg is HS256 in capitals"
		crit        = "the header names fields that must be understood (crit)"
		oddID       = "externalId is neither text nor a whole number above 0"
		errOddEmail = "email is not text"
		errNobody   = "neither externalId nor email"
		millis      = "iat is not a whole number of seconds; are these milliseconds?"
		foreign     = "there is a character in it that no token has"
		iatIsText   = "iat is text and not a number"
		iatNoNumber = "iat is not a number"
	)
	for name, test := range map[string]struct{ text, want string }{
		"empty":                      {"", notThree},
		"one part":                   {"abc", notThree},
		"two parts":                  {head + "." + body, notThree},
		"four parts":                 {good + ".abc", notThree},
		"encrypted":                  {good + ".abc.abc", "it has five parts: it is encrypted and not signed"},
		"only dots":                  {"..", badHeader},
		"a foreign character":        {"a.b.c!", foreign},
		"a letter of another script": {"é" + good, foreign},
		"trailing newline":           {good + "\n", "there is a newline in it"},
		"Windows line end":           {good + "\r\n", "there is a newline in it"},
		"newline inside":             {strings.Replace(good, ".", ".\n", 1), "there is a newline in it"},
		"leading space":              {" " + good, "there is white space in it"},
		"tab inside":                 {head + ".\t" + rest, "there is white space in it"},
		"byte order mark":            {"\ufeff" + good, "there is white space in it"},
		"Bearer before it":           {"Bearer " + good, "the word Bearer is not part of the token"},
		"Bearer alone":               {"Bearer ", "there is white space in it"},
		"as long as may be":          {strings.Repeat("a", token.MaxBytes), notThree},
		"bearer in small letters":    {"bearer " + good, "the word Bearer is not part of the token"},
		"quotes":                     {`"` + good + `"`, "there are quotes around it"},
		"single quotes":              {"'" + good + "'", "there are quotes around it"},
		"percent-encoded":            {strings.ReplaceAll(good, ".", "%2E"), "it is percent-encoded"},
		"padding":                    {good + "=", "its base64url is padded with ="},
		"plain base64":               {head + "." + body + "." + "ab+/", "it is base64, with + and /, and not base64url"},
		"JSON serialization":         {`{"payload":"` + body + `","protected":"` + head + `","signature":"AA"}`, "it is JSON and not a token of three parts"},
		"over 4,096 bytes":           {claims(`{"externalId":"` + strings.Repeat("x", 4096) + `","iat":1}`), "it is longer than 4,096 bytes"},
		"no signature":               {head + "." + body + ".", "there is no signature after the second dot"},
		"a signature of odd length":  {head + "." + body + ".a", "the signature is not base64url"},
		"a second spelling of it":    {strings.TrimSuffix(good, "A") + "B", "the signature is not base64url"},

		"alg none":             {header(`{"alg":"none","typ":"JWT"}`), "the header names none"},
		"alg none, unsigned":   {encode([]byte(`{"alg":"none"}`)) + "." + body + ".", "the header names none"},
		"alg None":             {header(`{"alg":"None","typ":"JWT"}`), otherAlg},
		"alg HS384":            {header(`{"alg":"HS384","typ":"JWT"}`), "the header names HS384"},
		"alg HS512":            {header(`{"alg":"HS512","typ":"JWT"}`), "the header names HS512"},
		"alg RS256":            {header(`{"alg":"RS256","typ":"JWT"}`), "the header names RS256"},
		"alg ES256":            {header(`{"alg":"ES256","typ":"JWT"}`), "the header names ES256"},
		"alg EdDSA":            {header(`{"alg":"EdDSA","typ":"JWT"}`), "the header names EdDSA"},
		"alg in lower case":    {header(`{"alg":"hs256","typ":"JWT"}`), capitals},
		"alg of one's own":     {header(`{"alg":"canary","typ":"JWT"}`), otherAlg},
		"alg SHA256":           {header(`{"alg":"SHA256"}`), otherAlg},
		"alg a number":         {header(`{"alg":256}`), otherAlg},
		"alg null":             {header(`{"alg":null}`), otherAlg},
		"no alg":               {header(`{"typ":"JWT"}`), "the header names no alg"},
		"crit":                 {header(`{"alg":"HS256","crit":["exp"],"exp":1}`), crit},
		"unencoded payload":    {header(`{"alg":"HS256","b64":false,"crit":["b64"]}`), crit},
		"header no object":     {header(`"HS256"`), badHeader},
		"header null":          {header(`null`), badHeader},
		"header no JSON":       {header(`alg=HS256`), badHeader},
		"header of odd length": {"a." + body + ".AA", badHeader},

		"payload no JSON":              {claims(`canary_id`), badPayload},
		"payload cut short":            {claims(`{"externalId":"canary_id"`), badPayload},
		"payload an array":             {claims(`[]`), badPayload},
		"payload null":                 {claims(`null`), badPayload},
		"payload text":                 {claims(`"canary"`), badPayload},
		"payload empty":                {claims(``), badPayload},
		"no claims":                    {claims(`{}`), errNobody},
		"no identifier":                {claims(`{"iat":1767225600}`), errNobody},
		"empty identifiers":            {claims(`{"externalId":"","email":"","iat":1767225600}`), "externalId is empty"},
		"empty email":                  {claims(`{"email":"","iat":1767225600}`), "email is empty"},
		"email null":                   {claims(`{"email":null,"iat":1767225600}`), errNobody},
		"email a number":               {claims(`{"email":7,"iat":1767225600}`), errOddEmail},
		"email a list":                 {claims(`{"email":["canary@example.com"],"iat":1767225600}`), errOddEmail},
		"ID 0":                         {claims(`{"externalId":0,"iat":1767225600}`), oddID},
		"ID below 0":                   {claims(`{"externalId":-7,"iat":1767225600}`), oddID},
		"ID with a fraction":           {claims(`{"externalId":7.5,"iat":1767225600}`), oddID},
		"ID beyond 2^53":               {claims(`{"externalId":9007199254740992,"iat":1767225600}`), oddID},
		"ID true":                      {claims(`{"externalId":true,"iat":1767225600}`), oddID},
		"ID an object":                 {claims(`{"externalId":{"canary":1},"iat":1767225600}`), oddID},
		"external_id":                  {claims(`{"external_id":"canary","iat":1767225600}`), "external_id instead of externalId"},
		"external_id, no iat":          {claims(`{"external_id":"canary"}`), "external_id instead of externalId"},
		"ExternalId":                   {claims(`{"ExternalId":"canary","iat":1767225600}`), "ExternalId instead of externalId"},
		"externalID":                   {claims(`{"externalID":"canary","iat":1767225600}`), "externalID instead of externalId"},
		"externalid":                   {claims(`{"externalid":"canary","iat":1767225600}`), "externalid instead of externalId"},
		"sub":                          {claims(`{"sub":"canary","iat":1767225600}`), "sub instead of externalId"},
		"userId and sub":               {claims(`{"userId":"canary","sub":"x","iat":1767225600}`), "userId instead of externalId"},
		"Email":                        {claims(`{"Email":"canary@example.com","iat":1767225600}`), "Email instead of email"},
		"emailAddress":                 {claims(`{"emailAddress":"canary@example.com","iat":1}`), "emailAddress instead of email"},
		"a claim of its own":           {claims(`{"canary":"canary","iat":1767225600}`), errNobody},
		"no iat":                       {claims(`{"externalId":"canary_id"}`), "no iat"},
		"IAT in capitals":              {claims(`{"externalId":"canary_id","IAT":1767225600}`), "no iat"},
		"iat text":                     {claims(`{"externalId":"canary_id","iat":"1767225600"}`), iatIsText},
		"iat a date":                   {claims(`{"externalId":"canary_id","iat":"2026-01-01T00:00:00Z"}`), iatIsText},
		"iat null":                     {claims(`{"externalId":"canary_id","iat":null}`), iatNoNumber},
		"iat true":                     {claims(`{"externalId":"canary_id","iat":true}`), iatNoNumber},
		"iat with a fraction":          {claims(`{"externalId":"canary_id","iat":1767225600.5}`), "iat is not a whole number of seconds"},
		"iat in milliseconds":          {claims(`{"externalId":"canary_id","iat":1767225600000}`), millis},
		"iat in nanoseconds":           {claims(`{"externalId":"canary_id","iat":1767225600000000000}`), millis},
		"milliseconds, and a fraction": {claims(`{"externalId":"canary_id","iat":1767225600000.25}`), millis},
		"iat before 1970":              {claims(`{"externalId":"canary_id","iat":-1}`), "iat is before 1970"},
		"iat beyond any number":        {claims(`{"externalId":"canary_id","iat":1e999}`), badPayload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := token.Parse(test.text)
			var malformed token.MalformedError
			if !errors.As(err, &malformed) || err.Error() != test.want {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if len(test.want) > maxReason || strings.Contains(test.want, "canary") {
				t.Errorf("%q does not fit into a record, or repeats a value", test.want)
			}
		})
	}
}

// What Kustomer takes and we would not make.
func TestParseTakesWhatKustomerTakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ header, claims, externalID, email string }{
		"a number, as the Android sample signs": {goodHeader, `{"externalId":12345,"iat":1767225600}`, "12345", ""},
		"the greatest number":                   {goodHeader, `{"externalId":9007199254740991,"iat":1}`, "9007199254740991", ""},
		"a number in another spelling":          {goodHeader, `{"externalId":1.5e1,"iat":1767225600}`, "15", ""},
		"a number and an email":                 {goodHeader, `{"externalId":7,"email":"ada@example.com","iat":1}`, "7", "ada@example.com"},
		"an email and an ID that is none":       {goodHeader, `{"externalId":[7],"email":"ada@example.com","iat":1}`, "", "ada@example.com"},
		"an ID and an empty email":              {goodHeader, `{"externalId":"x","email":"","iat":1}`, "x", ""},
		"an ID beside its other spelling":       {goodHeader, `{"externalId":"x","external_id":"y","iat":1}`, "x", ""},
		"further claims":                        {goodHeader, `{"externalId":"x","iat":1,"exp":2,"sub":"y","name":"z"}`, "x", ""},
		"another order, and spaces":             {`{ "typ": "JWT", "alg": "HS256" }`, `{ "iat": 1, "externalId": "x" }`, "x", ""},
		"no typ":                                {`{"alg":"HS256"}`, goodClaims, "canary_id", ""},
		"a kid":                                 {`{"alg":"HS256","kid":"one"}`, goodClaims, "canary_id", ""},
		"a kid that is a number":                {`{"alg":"HS256","kid":1}`, goodClaims, "canary_id", ""},
		"iat in another spelling":               {goodHeader, `{"externalId":"x","iat":1.7672256e9}`, "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := token.Parse(whole(test.header, test.claims))
			if err != nil {
				t.Fatal(err)
			}
			if who := parsed.Customer(); who.ExternalID != test.externalID || who.Email != test.email {
				t.Errorf("external ID %q and email %q", who.ExternalID, who.Email)
			}
		})
	}
}

func TestSignatureFaultNamesWhatWasDoneToTheSecret(t *testing.T) {
	t.Parallel()
	const (
		secret  = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="
		decoded = "it is signed with the secret decoded from base64"
		newline = "it is signed with the secret and a newline"
		quotes  = "it is signed with the secret in quotes"
		space   = "it is signed with the secret without the space around it"
		another = "it is signed with another secret"
	)
	plain, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ secret, key, want string }{
		"decoded":              {secret, string(plain), decoded},
		"decoded, no padding":  {strings.TrimRight(secret, "="), string(plain), decoded},
		"decoded, URL letters": {"_-_-", "\xff\xef\xfe", decoded},
		"a newline":            {secret, secret + "\n", newline},
		"a Windows line end":   {secret, secret + "\r\n", newline},
		"quotes":               {secret, `"` + secret + `"`, quotes},
		"trimmed":              {" " + secret + "\n", secret, space},
		"another":              {secret, "another", another},
		"another letter":       {secret, secret + "x", another},
		"not base64":           {"a secret!", "another", another},
		"empty":                {"", "another", another},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, err := jws.Sign([]byte(goodClaims), jws.WithKey(jwa.HS256, []byte(test.key)))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := token.Parse(string(signed))
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.SignatureFault(sensitive.New(test.secret)); got != test.want || len(got) > maxReason {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// FuzzFault promises that no phrase repeats a text that is long enough to be somebody's.
func FuzzFault(f *testing.F) {
	f.Add(goodHeader, goodClaims)
	f.Add(`{"alg":"canarycanary"}`, `{"canarycanary":"canarycanary"}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		_, err := token.Parse(whole(header, claims))
		if err == nil {
			return
		}
		if len(err.Error()) > maxReason || strings.Contains(err.Error(), "canarycanary") {
			t.Errorf("phrase %q", err)
		}
		var fields map[string]any
		if json.Unmarshal([]byte(header), &fields) == nil {
			if name, _ := fields["alg"].(string); len(name) > 8 && strings.Contains(err.Error(), name) {
				t.Errorf("the phrase repeats the alg %q", name)
			}
		}
	})
}

// The clock of a token is not the parser's business: any second from 1970 to 9999 is one.
func TestParseTakesEverySecondOfATimestamp(t *testing.T) {
	t.Parallel()
	for claims, want := range map[string]time.Time{
		`{"externalId":"x","iat":0}`:            time.Unix(0, 0),
		`{"externalId":"x","iat":253402300799}`: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		parsed, err := token.Parse(whole(goodHeader, claims))
		if err != nil || !parsed.IssueTime().Equal(want) {
			t.Errorf("%s: %v, %v", claims, parsed.IssueTime(), err)
		}
	}
}
