package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the width of help in columns.
const helpWidth = 80

// printHelp prints what a command does, an example, and its flags by group. It refuses a command that
// does not exist.
func printHelp(out io.Writer, command *cobra.Command) error {
	if args := command.Flags().Args(); command.HasSubCommands() && len(args) > 0 {
		return command.RunE(command, args)
	}
	var b strings.Builder
	usage := command.UseLine()
	if command.HasSubCommands() {
		usage = command.CommandPath() + " COMMAND"
	}
	b.WriteString("Usage: " + usage + "\n\n" + command.Short + "\n")
	if command.Long != "" {
		b.WriteString("\n" + strings.TrimSpace(command.Long) + "\n")
	}
	if command.Example != "" {
		b.WriteString("\nExample:\n  " + strings.ReplaceAll(command.Example, "\n", "\n  ") + "\n")
	}
	if command.HasSubCommands() {
		b.WriteString("\nCommands:\n" + commandList(command))
	}
	for _, group := range helpGroups(command) {
		b.WriteString("\n" + group.title + ":\n" + group.flags.FlagUsagesWrapped(helpWidth))
	}
	if command.HasSubCommands() {
		b.WriteString("\nRun \"" + command.CommandPath() + " COMMAND --help\" for more about a command.\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// commandList returns a line for each command, with the subcommands in place of their parent.
func commandList(command *cobra.Command) string {
	var b strings.Builder
	for _, child := range command.Commands() {
		if child.HasSubCommands() && child.Name() != "completion" {
			for _, leaf := range child.Commands() {
				_, _ = fmt.Fprintf(&b, "  %-14s  %s\n", child.Name()+" "+leaf.Name(), leaf.Short)
			}
		} else if child.IsAvailableCommand() {
			_, _ = fmt.Fprintf(&b, "  %-14s  %s\n", child.Name(), child.Short)
		}
	}
	return b.String()
}

type helpGroup struct {
	title string
	flags *pflag.FlagSet
}

// helpGroups returns the flags by group, each with its default and its environment variable.
func helpGroups(command *cobra.Command) []helpGroup {
	var groups []helpGroup
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		shown := *flag
		title := "Flags"
		if value, ours := flag.Value.(*flagValue); ours {
			title = cmp.Or(value.group, title)
			notes := "$" + value.Variable()
			if value.Default != "" {
				notes = "default " + value.Default + ", " + notes
			}
			shown.Usage += "\n(" + notes + ")"
		}
		at := slices.IndexFunc(groups, func(group helpGroup) bool { return group.title == title })
		if at < 0 {
			at = len(groups)
			groups = append(groups, helpGroup{title, pflag.NewFlagSet("", pflag.ContinueOnError)})
			groups[at].flags.SortFlags = false
		}
		groups[at].flags.AddFlag(&shown)
	})
	return groups
}
