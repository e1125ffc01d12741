package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// flagValue is one of our flags as pflag sees it.
type flagValue struct {
	config.Flag
	group string
}

// Set stores a value of the command line. A blank one is that of a variable, in a script, that has
// none.
func (v *flagValue) Set(text string) error {
	if config.IsBlank(text) {
		return config.Usage("the value is empty: give %s, or leave the flag out", v.usage())
	}
	return v.Flag.Set(text)
}

// usage shows how the flag is given.
func (v *flagValue) usage() string {
	text := strings.TrimSpace("--" + v.Name + " " + v.Placeholder)
	if example := v.Example(); example != "" && v.Placeholder != "" {
		text += ", such as " + example
	}
	return text
}

func (*flagValue) String() string { return "" }

func (v *flagValue) Type() string { return cmp.Or(v.Placeholder, "bool") }

// withFlags adds flags to a command.
func withFlags(command *cobra.Command, groups ...config.Group) *cobra.Command {
	set := command.Flags()
	set.SortFlags = false
	for _, group := range groups {
		for _, declared := range group.Flags {
			flag := set.VarPF(&flagValue{declared, group.Title}, declared.Name, "", declared.Help)
			if declared.Placeholder == "" {
				flag.NoOptDefVal = "true"
			}
		}
	}
	return command
}

// completeFlags sets the flags that were not given: from the environment, or to their defaults.
func completeFlags(command *cobra.Command, _ []string) error {
	var failed error
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		value, ours := flag.Value.(*flagValue)
		if !ours || flag.Changed || failed != nil {
			return
		}
		text := os.Getenv(value.Variable())
		switch {
		case !config.IsBlank(text):
			if err := value.Flag.Set(text); err != nil {
				failed = config.Usage("--%s: %v (from $%s)", flag.Name, err, value.Variable())
			}
		case value.Default != "":
			if err := value.Flag.Set(value.Default); err != nil {
				panic("--" + flag.Name + " has a wrong default: " + err.Error())
			}
		}
	})
	return failed
}

// originsOf says where the values of a command's flags come from.
func originsOf(command *cobra.Command) config.Origins {
	origins := config.Origins{Given: map[string]bool{}}
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		value, ours := flag.Value.(*flagValue)
		if !ours {
			return
		}
		text, found := os.LookupEnv(value.Variable())
		switch {
		case flag.Changed || !config.IsBlank(text):
			origins.Given[flag.Name] = true
		case found:
			origins.Blank = append(origins.Blank, value.Variable())
		}
	})
	return origins
}

// warnOfBlanks completes the flags, and warns of variables that are set but empty. Commands that
// have a program log warn there.
func warnOfBlanks(console *console) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		for _, variable := range originsOf(command).Blank {
			_, _ = fmt.Fprintf(console.err, "chatidentity: warning: %s: %s\n", variable, config.BlankText)
		}
		return completeFlags(command, args)
	}
}

// variables returns the environment variables of all flags of all commands.
func variables(command *cobra.Command) map[string]bool {
	all := map[string]bool{}
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if value, ours := flag.Value.(*flagValue); ours {
			all[value.Variable()] = true
		}
	})
	for _, child := range command.Commands() {
		for name := range variables(child) {
			all[name] = true
		}
	}
	return all
}

// checkValues refuses a flag in the place of another flag's value. The value was forgotten, and
// pflag would take the next flag, say --email, as the customer's ID.
func checkValues(root *cobra.Command, args []string) error {
	command, args, err := root.Traverse(args)
	if err != nil {
		return explain(root, err)
	}
	for i, arg := range args {
		if arg == "--" {
			return nil
		}
		name, isFlag := strings.CutPrefix(arg, "--")
		flag := command.Flags().Lookup(name)
		if !isFlag || flag == nil || flag.NoOptDefVal != "" || i+1 == len(args) {
			continue
		}
		if value := args[i+1]; strings.HasPrefix(value, "-") && value != "-" {
			return config.Usage("--%s: %q looks like a flag: give a value, or write --%s=%s if that is the value",
				name, value, name, value)
		}
	}
	return nil
}

// explain puts pflag's errors into our words. Other errors stay as they are.
func explain(command *cobra.Command, err error) error {
	if unknown, is := errors.AsType[*pflag.NotExistError](err); is {
		name, dashes := unknown.GetSpecifiedName(), "--"
		if short := unknown.GetSpecifiedShortnames(); short != "" { // -listen is -l -i -s ... to pflag
			name, _, _ = strings.Cut(short, "=")
			dashes = "-"
		}
		return config.Usage("unknown flag %s%s%s", dashes, name, didYouMean("--", name, flagNames(command)))
	}
	if missing, is := errors.AsType[*pflag.ValueRequiredError](err); is {
		usage := "--" + missing.GetFlag().Name + " VALUE"
		if value, ours := missing.GetFlag().Value.(*flagValue); ours {
			usage = value.usage()
		}
		return config.Usage("--%s: the value is missing: give %s", missing.GetFlag().Name, usage)
	}
	if invalid, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return config.Usage("--%s: %v", invalid.GetFlag().Name, invalid.Unwrap())
	}
	if syntax, is := errors.AsType[*pflag.InvalidSyntaxError](err); is {
		return config.Usage("%s is not a flag: write --NAME, --NAME VALUE or --NAME=VALUE", syntax.GetSpecifiedFlag())
	}
	return err
}

func flagNames(command *cobra.Command) []string {
	var names []string
	command.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	return names
}

// didYouMean returns a hint at the names that resemble what was typed, or nothing.
func didYouMean(prefix, typed string, names []string) string {
	// cobra finds similar names only among commands.
	dictionary := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, name := range names {
		dictionary.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	similar := dictionary.SuggestionsFor(typed)
	for i := range similar {
		similar[i] = strconv.Quote(prefix + similar[i])
	}
	switch len(similar) {
	case 0:
		return ""
	case 1:
		return ", did you mean " + similar[0] + "?"
	default:
		return ", did you mean one of " + strings.Join(similar, ", ") + "?"
	}
}

// checkArguments makes each command refuse arguments that its usage line does not name.
func checkArguments(command *cobra.Command) {
	if !command.HasSubCommands() {
		command.Args = matchUsage
		return
	}
	var names []string
	for _, child := range command.Commands() {
		if child.IsAvailableCommand() || child.HasSubCommands() {
			names = append(names, child.Name())
		}
		checkArguments(child)
	}
	command.Args = cobra.ArbitraryArgs
	command.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return config.Usage("unexpected argument %s%s", args[0], didYouMean("", args[0], names))
		}
		expected := `"` + strings.Join(names, `", "`) + `"`
		if len(names) > 1 {
			expected = "one of " + expected
		}
		return config.Usage("expected %s", expected)
	}
}

// matchUsage compares the arguments with the usage line: one per word, at least one for WORD...,
// any number for [WORD...].
func matchUsage(command *cobra.Command, args []string) error {
	words := strings.Fields(command.Use)[1:]
	required := len(words)
	if required > 0 && strings.HasPrefix(words[required-1], "[") {
		required--
	}
	switch {
	case len(args) < required:
		return config.Usage("expected %s", words[len(args)])
	case len(args) > len(words) && (len(words) == 0 || !strings.Contains(words[len(words)-1], "...")):
		return config.Usage("unexpected argument %s", args[len(words)])
	default:
		return nil
	}
}
