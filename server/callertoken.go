package main

import (
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type callerTokenCommand struct {
	Name string `arg:"" help:"The caller's name, as policies, audit records and metrics have it: token:NAME."`
	outputFlag
}

func (callerTokenCommand) Help() string {
	return "It prints a fresh token, once, and the line that admits it. The line goes into the file of --caller-tokens-file, " +
		"which serve follows; the token goes to the caller, which sends it with each call in the metadata \"authorization: Bearer TOKEN\". " +
		"To change a token, add the new line, change the caller, then remove the old line.\n\n" +
		"Example:\n  chatidentity caller-token checkout"
}

type callerTokenAnswer struct {
	Token string `json:"token"`
	Line  string `json:"line"`
}

// Run prints a token.
func (c *callerTokenCommand) Run(console *console) error {
	token, line, err := caller.NewToken(c.Name)
	if err != nil {
		return config.Usage("caller-token %q: %v", c.Name, err)
	}
	return c.print(console, callerTokenAnswer{token.Reveal(), line},
		"Token, for the caller alone; it is not shown again:\n  "+token.Reveal()+
			"\nLine for the file of --caller-tokens-file, which is no secret:\n  "+line)
}
