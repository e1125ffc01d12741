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
	noIssueTime     Malformed = "no iat"
	textIssueTime   Malformed = "iat is text and not a number"
	noNumber        Malformed = "iat is not a number"
	fractionalTime  Malformed = "iat is not a whole number of seconds"
	milliseconds    Malformed = "iat is not a whole number of seconds; are these milliseconds?"
	beforeEpoch     Malformed = "iat is before 1970"
	emptyExternalID Malformed = "externalId is empty"
	oddExternalID   Malformed = "externalId is neither text nor a whole number above 0"
	emptyEmail      Malformed = "email is empty"
	oddEmail        Malformed = "email is not text"
	nobody          Malformed = "neither externalId nor email"
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
func readClaims(claims map[string]any) (customer.Customer, time.Time, Malformed) {
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
func readExternalID(claims map[string]any) (string, Malformed) {
	switch value := claims[externalIDClaim].(type) {
	case nil:
		return "", ""
	case string:
		if value == "" {
			return "", emptyExternalID
		}
		return value, ""
	case float64:
		if value == math.Trunc(value) && 0 < value && value <= maxNumber {
			return strconv.FormatInt(int64(value), 10), ""
		}
	}
	return "", oddExternalID
}

func readEmail(claims map[string]any) (string, Malformed) {
	switch value := claims[emailClaim].(type) {
	case nil:
		return "", ""
	case string:
		if value == "" {
			return "", emptyEmail
		}
		return value, ""
	default:
		return "", oddEmail
	}
}

// identifierFault returns why the claims name nobody.
func identifierFault(claims map[string]any, externalID, email Malformed) Malformed {
	for _, fault := range []Malformed{externalID, email} {
		if fault != "" {
			return fault
		}
	}
	for _, spelling := range misspelt {
		if _, found := claims[spelling.name]; found {
			return Malformed(spelling.name + " instead of " + spelling.right)
		}
	}
	return nobody
}

func readIssueTime(claims map[string]any) (time.Time, Malformed) {
	claim, found := claims["iat"]
	iat, isNumber := claim.(float64)
	_, isText := claim.(string)
	switch {
	case !found:
		return time.Time{}, noIssueTime
	case isText:
		return time.Time{}, textIssueTime
	case !isNumber:
		return time.Time{}, noNumber
	case iat < 0:
		return time.Time{}, beforeEpoch
	case iat > maxIssueTime:
		return time.Time{}, milliseconds
	case iat != math.Trunc(iat):
		return time.Time{}, fractionalTime
	default:
		return time.Unix(int64(iat), 0).UTC(), ""
	}
}
