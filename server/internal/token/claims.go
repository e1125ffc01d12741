package token

import (
	"math"
	"strconv"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

const (
	// maxIssueTime is the last second of the year 9999, the last that a google.protobuf.Timestamp holds.
	maxIssueTime = 253402300799
	// maxNumber is the greatest number that JavaScript, in which Kustomer's libraries are written, tells
	// from its neighbours.
	maxNumber = 1<<53 - 1

	externalIDClaim = "externalId"
	emailClaim      = "email"
)

// What is wrong with the claims.
const (
	errNoIssueTime     MalformedError = "no iat"
	errTextIssueTime   MalformedError = "iat is text and not a number"
	errNoNumber        MalformedError = "iat is not a number"
	errFractionalTime  MalformedError = "iat is not a whole number of seconds"
	errMilliseconds    MalformedError = "iat is not a whole number of seconds; are these milliseconds?"
	errBeforeEpoch     MalformedError = "iat is before 1970"
	errEmptyExternalID MalformedError = "externalId is empty"
	errOddExternalID   MalformedError = "externalId is neither text nor a whole number above 0"
	errEmptyEmail      MalformedError = "email is empty"
	errOddEmail        MalformedError = "email is not text"
	errNobody          MalformedError = "neither externalId nor email"
)

// misspelt are claims that people send where Kustomer reads another. Each of them gives a phrase.
var misspelt = []struct{ name, right string }{
	{"external_id", externalIDClaim},
	{"external-id", externalIDClaim},
	{"externalID", externalIDClaim},
	{"ExternalId", externalIDClaim},
	{"ExternalID", externalIDClaim},
	{"externalid", externalIDClaim},
	{"EXTERNALID", externalIDClaim},
	{"customerId", externalIDClaim},
	{"customer_id", externalIDClaim},
	{"userId", externalIDClaim},
	{"user_id", externalIDClaim},
	{"uid", externalIDClaim},
	{"id", externalIDClaim},
	{"Email", emailClaim},
	{"EMAIL", emailClaim},
	{"eMail", emailClaim},
	{"e-mail", emailClaim},
	{"mail", emailClaim},
	{"emailAddress", emailClaim},
	{"email_address", emailClaim},
	{"sub", externalIDClaim}, // last: others say more
}

// readClaims reads the claims by their exact names, as JavaScript does.
func readClaims(claims map[string]any) (customer.Customer, time.Time, MalformedError) {
	externalID, externalIDFault := readExternalID(claims)
	email, emailFault := readEmail(claims)
	who := customer.Customer{ExternalID: externalID, Email: email}
	if who == (customer.Customer{}) {
		return who, time.Time{}, identifierFault(claims, externalIDFault, emailFault)
	}
	issued, fault := readIssueTime(claims)
	return who, issued, fault
}

// readExternalID accepts a number too: the vendor's own Android sample signs one.
func readExternalID(claims map[string]any) (string, MalformedError) {
	switch value := claims[externalIDClaim].(type) {
	case nil:
		return "", ""
	case string:
		if value == "" {
			return "", errEmptyExternalID
		}
		return value, ""
	case float64:
		if value == math.Trunc(value) && 0 < value && value <= maxNumber {
			return strconv.FormatInt(int64(value), 10), ""
		}
	}
	return "", errOddExternalID
}

func readEmail(claims map[string]any) (string, MalformedError) {
	switch value := claims[emailClaim].(type) {
	case nil:
		return "", ""
	case string:
		if value == "" {
			return "", errEmptyEmail
		}
		return value, ""
	default:
		return "", errOddEmail
	}
}

// identifierFault returns why the claims name nobody.
func identifierFault(claims map[string]any, externalID, email MalformedError) MalformedError {
	for _, fault := range []MalformedError{externalID, email} {
		if fault != "" {
			return fault
		}
	}
	for _, spelling := range misspelt {
		if _, found := claims[spelling.name]; found {
			return MalformedError(spelling.name + " instead of " + spelling.right)
		}
	}
	return errNobody
}

func readIssueTime(claims map[string]any) (time.Time, MalformedError) {
	claim, found := claims["iat"]
	iat, isNumber := claim.(float64)
	_, isText := claim.(string)
	switch {
	case !found:
		return time.Time{}, errNoIssueTime
	case isText:
		return time.Time{}, errTextIssueTime
	case !isNumber:
		return time.Time{}, errNoNumber
	case iat < 0:
		return time.Time{}, errBeforeEpoch
	case iat > maxIssueTime:
		return time.Time{}, errMilliseconds
	case iat != math.Trunc(iat):
		return time.Time{}, errFractionalTime
	default:
		return time.Unix(int64(iat), 0).UTC(), ""
	}
}
