// Chatidentity is a gRPC identity sidecar: it signs the tokens with which a
// backend's users log in to Kustomer chat. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // failed while running
	exitUsage  = 2 // bad usage or configuration
)

// commands is the command line: one file a command.
type commands struct {
	Serve  serveCommand   `cmd:"" help:"Run the sidecar."`
	Dev    devCommand     `cmd:"" help:"Run the sidecar on a stand-in Kustomer with a worthless secret, and show how it works."`
	Issue  issueCommand   `cmd:"" help:"Ask a running sidecar for a token."`
	Verify verifyCommand  `cmd:"" help:"Ask a running sidecar what Kustomer would say of a token now."`
	Health healthCommand  `cmd:"" help:"Ask a running sidecar whether it would issue a token now."`
	Doctor doctorCommand  `cmd:"" help:"Check a configuration of serve before a rollout."`
	Audit  auditCommands  `cmd:"" help:"Verify and search audit records."`
	Secret secretCommands `cmd:"" help:"Fetch the signing secret."`
	Policy policyCommands `cmd:"" help:"Check a policy file."`

	CallerToken callerTokenCommand `cmd:"" help:"Make a bearer token for a caller."`

	Version versionCommand `cmd:"" help:"Print the version."`
}

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out      io.Writer
	err      io.Writer
	terminal bool // out is one
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], &console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: term.IsTerminal(int(os.Stdout.Fd())),
	}))
}

func run(ctx context.Context, args []string, console *console) int {
	exited := -1
	parser, err := kong.New(&commands{},
		kong.Name("chatidentity"),
		kong.Description("A gRPC identity sidecar that logs your users in to Kustomer chat.\n\n"+
			"Every flag has an environment variable: CHATIDENTITY_ and its name in capitals with underscores. A flag beats its variable."),
		kong.DefaultEnvars("CHATIDENTITY"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpText),
		kong.Writers(console.out, console.err),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console),
	)
	if err != nil {
		panic(err) // a fault in the tags of commands
	}
	args = habits(args)
	for i, arg := range args { // the parser would repair it: another string is another person
		if !utf8.ValidString(arg) {
			return report(console, config.Usage("argument %d is not valid UTF-8: give it in UTF-8", i+1))
		}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help has been answered
		return exited
	}
	if err != nil {
		return report(console, config.Usage("%v", err))
	}
	return report(console, command.Run())
}

// habits makes what people type by habit the command line that they mean.
func habits(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:], "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	default:
		return args
	}
}

// helpText is a flag's help with its default and its environment variable.
func helpText(value *kong.Value) string {
	var notes []string
	if value.HasDefault && value.Default != "" {
		notes = append(notes, "default "+value.Default)
	}
	for _, variable := range value.Tag.Envs {
		notes = append(notes, "$"+variable)
	}
	if notes == nil {
		return value.Help
	}
	return value.Help + " (" + strings.Join(notes, ", ") + ")"
}

// report prints an error as one line and returns the exit code.
func report(console *console, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailed
	}
	_, _ = fmt.Fprintf(console.err, "chatidentity: %v\n", err)
	if errors.Is(err, config.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

// errSaid is for a command that has printed its answer, and whose answer is no.
var errSaid = errors.New("the answer is no")
