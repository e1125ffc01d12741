package main

import (
	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

func newCallerTokenCommand(console *console) *cobra.Command {
	var output outputFlag
	return withFlags(&cobra.Command{
		Use:   "caller-token NAME",
		Short: "Create a bearer token for a caller.",
		Long: `It prints a new token, once, and the line that admits it. Policies, audit
records and metrics call the caller token:NAME.

The line goes into the file of --caller-tokens-file, which serve reloads when it
changes. The token goes to the caller, which sends it with each call in the
metadata "authorization: Bearer TOKEN". To change a token, add the new line,
change the caller, then remove the old line.`,
		Example: "chatidentity caller-token checkout",
		RunE:    func(_ *cobra.Command, args []string) error { return printCallerToken(console, args[0], output) },
	}, config.Group{Flags: output.flags()})
}

type callerTokenAnswer struct {
	Token string `json:"token"`
	Line  string `json:"line"`
}

func printCallerToken(console *console, name string, output outputFlag) error {
	token, line, err := caller.NewToken(name)
	if err != nil {
		return config.Usage("caller-token %q: %v", name, err)
	}
	return output.print(console, callerTokenAnswer{token.Reveal(), line},
		"Token, only for the caller; it is not shown again:\n  "+token.Reveal()+
			"\nLine for the file of --caller-tokens-file; it is not secret:\n  "+line)
}
