package redis

import (
	"strconv"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

func customerKey(i int) ratelimit.Key {
	return ratelimit.Key{Kind: "external_id", Scope: "default", Name: strconv.Itoa(i)}
}

// budgetsFor is what rpc asks for a call by one app, whose name means nothing in another replica, for
// one customer.
func budgetsFor(customer int, global, caller, perCustomer ratelimit.Rate) ratelimit.Budgets {
	return ratelimit.Budgets{
		ratelimit.Global:   {Rate: global},
		ratelimit.Caller:   {Key: ratelimit.Key{Kind: "uid", Name: "1000"}, Rate: caller, Local: true},
		ratelimit.Customer: {Key: customerKey(customer), Rate: perCustomer},
	}
}
