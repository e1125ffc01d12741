package customer

import (
	"fmt"
	"strings"
)

// Identifier is one of the two ways to say who a customer is.
type Identifier uint8

// The identifiers.
const (
	Unspecified Identifier = iota
	ExternalID
	Email
)

// String returns the identifier's name in audit records and metrics.
func (i Identifier) String() string {
	switch i {
	case ExternalID:
		return "external_id"
	case Email:
		return "email"
	default:
		return ""
	}
}

// IdentifierPolicy decides which of the given identifiers are signed. The zero value signs all of
// them.
type IdentifierPolicy uint8

// The policies, under the names of --identifier-policy.
const (
	AsGiven        IdentifierPolicy = iota // as-given: all that the caller sends
	OnlyExternalID                         // external-id: only the external ID, which must be given
	OnlyEmail                              // email: only the email, which must be given
	Exclusive                              // exclusive: whichever is given; both are refused
)

var policyNames = [...]string{
	AsGiven:        "as-given",
	OnlyExternalID: "external-id",
	OnlyEmail:      "email",
	Exclusive:      "exclusive",
}

// String returns the policy's name.
func (p IdentifierPolicy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("IdentifierPolicy(%d)", p)
}

// UnmarshalText reads a policy's name, in any case.
func (p *IdentifierPolicy) UnmarshalText(text []byte) error {
	for i, name := range policyNames {
		if strings.EqualFold(name, string(text)) {
			*p = IdentifierPolicy(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(policyNames[:], ", "))
}

// Apply returns the identifiers to sign of a customer that Check has passed, or what the policy
// demands and the customer lacks.
func (p IdentifierPolicy) Apply(c Customer) (Customer, []Violation) {
	switch {
	case p == OnlyExternalID && c.ExternalID == "":
		return Customer{}, []Violation{{FieldExternalID, "must be given: the identifier policy here is external-id"}}
	case p == OnlyExternalID:
		return Customer{ExternalID: c.ExternalID}, nil
	case p == OnlyEmail && c.Email == "":
		return Customer{}, []Violation{{FieldEmail, "must be given: the identifier policy here is email"}}
	case p == OnlyEmail:
		return Customer{Email: c.Email}, nil
	case p == Exclusive && c.ExternalID != "" && c.Email != "":
		return Customer{}, []Violation{{
			FieldCustomer, "must have external_id or email and not both: the identifier policy here is exclusive",
		}}
	default:
		return c, nil
	}
}
