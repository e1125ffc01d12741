package redis

import (
	"strconv"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

func customerKey(i int) ratelimit.Key {
	return ratelimit.Key{Kind: "external_id", Scope: "default", Name: strconv.Itoa(i)}
}

// budgetsFor returns what a call for a customer spends. Its caller's name means nothing in other
// replicas.
func budgetsFor(customer int, global, caller, perCustomer ratelimit.Rate) ratelimit.Budgets {
	return ratelimit.Budgets{
		ratelimit.Global:   {Rate: global},
		ratelimit.Caller:   {Key: ratelimit.Key{Kind: "uid", Name: "1000"}, Rate: caller, Local: true},
		ratelimit.Customer: {Key: customerKey(customer), Rate: perCustomer},
	}
}
