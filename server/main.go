// Chatidentity is a gRPC identity sidecar: it signs the tokens with which a backend's users log in
// to Kustomer chat. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // failed while running
	exitUsage  = 2 // bad usage or configuration
)

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out      io.Writer
	err      io.Writer
	terminal bool     // out is one
	colour   bool     // out may have colours
	signals  *signals // that serve and dev live by; nil: nobody catches them yet
}

func main() {
	var caught *signals
	if ofLife(os.Args[1:]) { // from the first line on, whatever the start takes
		caught = catchSignals(context.Background())
	}
	os.Exit(run(context.Background(), os.Args[1:], &console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, signals: caught,
		terminal: term.IsTerminal(int(os.Stdout.Fd())), colour: hasColour(os.Stdout),
	}))
}

func run(ctx context.Context, args []string, console *console) int {
	args = normalizeArgs(args)
	for i, arg := range args { // a repaired argument would be another string, and so another person
		if !utf8.ValidString(arg) {
			return report(console, config.Usage("argument %d is not valid UTF-8: give it in UTF-8", i+1))
		}
	}
	root := newRoot(console) //nolint:contextcheck // ExecuteContextC hands the context to the command
	root.SetArgs(args)
	if err := checkValues(root, args); err != nil {
		return report(console, err)
	}
	command, err := root.ExecuteContextC(ctx)
	if help, _ := command.Flags().GetBool("help"); help && err == nil {
		err = printHelp(console.out, command)
	}
	return report(console, explain(command, err))
}

// newRoot returns the command line: one file per command.
func newRoot(console *console) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:   "chatidentity",
		Short: "A gRPC identity sidecar that logs your users in to Kustomer chat.",
		Long: `Every flag has an environment variable: CHATIDENTITY_ plus the flag's name in
capitals, with underscores. A flag overrides its variable.`,
		Example:           "chatidentity dev",
		CompletionOptions: cobra.CompletionOptions{DisableNoDescFlag: true},
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true, // a command's flags come after its name
		PersistentPreRunE: warnOfBlanks(console),
	}
	root.SetOut(console.out)
	root.SetErr(console.err)
	root.PersistentFlags().BoolP("help", "h", false, "Show this help.")
	root.SetHelpFunc(func(*cobra.Command, []string) {}) // run prints help, because printHelp can fail
	root.AddCommand(
		newServeCommand(console), newDevCommand(console),
		newIssueCommand(console), newVerifyCommand(console), newHealthCommand(console), newWaitCommand(console),
		newReloadCommand(console), newDoctorCommand(console), newAuditCommands(console), newSecretCommands(console),
		newPolicyCommands(console), newCallerTokenCommand(console), newManifestCommand(console), newVersionCommand(console),
		newManCommand(console),
	)
	root.InitDefaultCompletionCmd()
	checkArguments(root)
	return root
}

// normalizeArgs accepts common spellings: no arguments, help, and --version.
func normalizeArgs(args []string) []string {
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

// report prints an error as one line and returns the exit code.
func report(console *console, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNegative):
		return exitFailed
	}
	line := visible(fmt.Sprintf("chatidentity: %v", err))
	_, _ = fmt.Fprintln(console.err, wrapped(line, columns(console.err), 0))
	if errors.Is(err, config.ErrUsage) {
		return exitUsage
	}
	return exitFailed
}

// errNegative reports a negative answer that the command has already printed.
var errNegative = errors.New("the answer is no")
