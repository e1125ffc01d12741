package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCommand prints the manual page, for those who package the program.
func newManCommand(console *console) *cobra.Command {
	return &cobra.Command{
		Use:   "man",
		Short: "Print the manual page.",
		Long: `Packagers keep it as chatidentity.1 in a directory man1. It has the help of all
commands.`,
		Example: "chatidentity man | man -l -",
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := io.WriteString(console.out, manualPage(command.Root()))
			return err
		},
	}
}

// manualEntry is a command that can be run, and its flags.
type manualEntry struct {
	*cobra.Command

	groups    []helpGroup // if it is like serve, without the flags that it shares
	likeServe bool        // it has every flag of serve
}

// manualEntries returns the commands in the order of the help.
func manualEntries(root *cobra.Command) []manualEntry {
	serve, _, err := root.Find([]string{serveName})
	if err != nil {
		panic(err)
	}
	var entries []manualEntry
	for _, command := range root.Commands() {
		if !command.HasSubCommands() {
			entries = append(entries, entryOf(command, serve))
		}
		for _, leaf := range command.Commands() {
			entries = append(entries, entryOf(leaf, serve))
		}
	}
	return entries
}

func entryOf(command, serve *cobra.Command) manualEntry {
	entry := manualEntry{Command: command, likeServe: command != serve && hasFlagsOf(command, serve)}
	for _, group := range helpGroups(command) {
		own := helpGroup{group.title, pflag.NewFlagSet("", pflag.ContinueOnError)}
		own.flags.SortFlags = false
		group.flags.VisitAll(func(flag *pflag.Flag) {
			value, ours := flag.Value.(*flagValue)
			shared := serve.Flags().Lookup(flag.Name)
			switch {
			case !ours: // --help
			case entry.likeServe && shared != nil && shared.Usage == value.Help:
			default:
				own.flags.AddFlag(flag)
			}
		})
		if own.flags.HasFlags() {
			entry.groups = append(entry.groups, own)
		}
	}
	return entry
}

// hasFlagsOf reports whether a command has every flag of another.
func hasFlagsOf(command, other *cobra.Command) bool {
	all := true
	other.Flags().VisitAll(func(flag *pflag.Flag) {
		all = all && command.Flags().Lookup(flag.Name) != nil
	})
	return all
}

// manualPage returns the page in the language of man, the same for the same program.
func manualPage(root *cobra.Command) string {
	var page roff
	page.request("TH", "CHATIDENTITY", "1", "", "chatidentity "+buildVersion(), "User Commands")
	_, _ = page.WriteString(".nh\n.ad l\n") // no hyphens in names, no blanks between words
	page.request("SH", "NAME")
	page.text("chatidentity - " + strings.TrimPrefix(strings.TrimSuffix(root.Short, "."), "A "))
	page.request("SH", "SYNOPSIS")
	page.text("chatidentity COMMAND [FLAG...] [ARGUMENT...]")
	page.request("SH", "DESCRIPTION")
	page.paragraphs(root.Long)
	page.request("SH", "COMMANDS")
	for _, entry := range manualEntries(root) {
		page.entry(&entry)
	}
	for _, section := range manualSections {
		page.request("SH", section.title)
		for _, item := range section.items {
			page.item(item[0], item[1])
		}
	}
	return page.String()
}

// manualSections are what no flag says.
var manualSections = []struct {
	title string
	items [][2]string
}{
	{"ENVIRONMENT", [][2]string{
		{"KUSTOMER_SECRET_KEY", "The signing secret, for trying out. Prefer --secret-file."},
		{"KUSTOMER_API_KEY", "A key of Kustomer's API that may read the signing secret. Prefer --api-key-file."},
		{"HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "The proxy for requests to Kustomer's API and to the URLs of issuers' keys."},
		{"OTEL_*", "OpenTelemetry's own variables switch traces on."},
		{"NO_COLOR", "When it is set and not empty, nothing is printed in colour."},
	}},
	{"EXIT STATUS", [][2]string{
		{"0", "Done; of serve, stopped by a signal after a clean drain."},
		{"1", "Failed while running, or the answer is no."},
		{"2", "Wrong usage or configuration; one line names the flag and says what to do."},
	}},
}

// roff is text in the language of man.
type roff struct{ strings.Builder }

// request writes a line that begins with a dot.
func (r *roff) request(name string, arguments ...string) {
	_, _ = r.WriteString("." + name)
	for _, argument := range arguments {
		_, _ = fmt.Fprintf(r, ` "%s"`, strings.ReplaceAll(escapeRoff(argument), `"`, `\(dq`))
	}
	_ = r.WriteByte('\n')
}

// text writes lines as they are.
func (r *roff) text(text string) {
	for line := range strings.SplitSeq(escapeRoff(text), "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		_, _ = r.WriteString(line + "\n")
	}
}

// paragraphs writes texts that blank lines separate, for man to fill.
func (r *roff) paragraphs(text string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		r.request("PP")
		r.text(strings.TrimSpace(part))
	}
}

// item writes a term and, below it, what it means.
func (r *roff) item(term, meaning string) {
	r.request("TP")
	r.request("B", term)
	r.text(meaning)
}

// entry writes the help of a command.
func (r *roff) entry(entry *manualEntry) {
	r.request("SS", entry.UseLine())
	r.text(entry.Short)
	if entry.Long != "" && entry.HasParent() && entry.Parent().Name() != "completion" {
		r.paragraphs(entry.Long)
	}
	if entry.Example != "" {
		r.request("PP")
		r.request("EX")
		r.text(entry.Example)
		r.request("EE")
	}
	for _, group := range entry.groups {
		if group.title != "Flags" {
			r.paragraphs(strings.ReplaceAll(group.title, "\n", " ") + ":")
		}
		group.flags.VisitAll(func(flag *pflag.Flag) {
			if value, ours := flag.Value.(*flagValue); ours && !flag.Hidden {
				r.item(strings.TrimSpace("--"+flag.Name+" "+value.Placeholder), flag.Usage)
			}
		})
	}
	if entry.likeServe {
		r.paragraphs("It also takes the flags of serve.")
	}
}

// escapeRoff makes a text stand for itself.
func escapeRoff(text string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`, `~`, `\(ti`, `^`, `\(ha`).Replace(text)
}
