package watch

import (
	"fmt"
	"sync/atomic"
)

// Options say which files make a value, and how.
type Options[T any] struct {
	// Kind is the label "file" of the metric of reloads, such as "policy".
	Kind string
	// Setting is what the operator calls the files, for the log: a flag, or an entry of a file.
	Setting string
	// Paths are read together and in this order; they are one value.
	Paths []string
	// Parse makes a value of the contents of all paths. It gets the last good value too, which is
	// T's zero value at first. Its errors must hold nothing of the contents; the path of a single
	// file is added to them. One that is about a file that the contents name wraps a NamedFileError.
	Parse func(contents [][]byte, last T) (T, error)
	// Required says that the program does not do its work until there has been a good value: see
	// Follower.Wanting.
	Required bool
	// Looked, if not nil, is called after each look that found settled files, also when nothing has
	// changed. It gets the last good value and what Err returns.
	Looked func(value T, err error)
}

// Value is what files hold. Reading it is lock-free; it is safe for concurrent use.
type Value[T any] struct {
	options  Options[T]
	follower *Follower // nil: not followed
	files    *files
	state    atomic.Pointer[state[T]]
}

// state is immutable: a new one takes its place.
type state[T any] struct {
	value T
	good  bool  // there is a value
	err   error // of the last look at settled files
}

// New reads the files and has the follower keep the value current until Close. A nil follower does
// not: the value is read once. Files that are missing or wrong now are no reason to fail: Err says
// what is wrong with them, and the value comes once they are good.
func New[T any](follower *Follower, options Options[T]) *Value[T] {
	v := &Value[T]{options: options, follower: follower}
	v.state.Store(&state[T]{})
	v.files = &files{
		kind: options.Kind, setting: options.Setting, paths: options.Paths, required: options.Required,
		take: v.take, looked: v.looked, problem: v.Problem,
	}
	v.files.takeFirst()
	if follower != nil {
		follower.add(v.files)
	}
	return v
}

// Load returns the last good value, T's zero value if there is none yet.
func (v *Value[T]) Load() T { return v.state.Load().value }

// Current returns the last good value, or why there is none yet.
func (v *Value[T]) Current() (T, error) {
	now := v.state.Load()
	if !now.good {
		return now.value, now.err
	}
	return now.value, nil
}

// Err returns what is wrong with the files, nil while the value is what they hold.
func (v *Value[T]) Err() error { return v.state.Load().err }

// Problem returns what Err does, after the setting: what an operator has to mend.
func (v *Value[T]) Problem() error {
	if err := v.Err(); err != nil {
		return fmt.Errorf("%s: %w", v.options.Setting, err)
	}
	return nil
}

// Close ends the following. The last good value stays.
func (v *Value[T]) Close() {
	if v.follower != nil {
		v.follower.remove(v.files)
	}
}

// take makes the contents the value, unless they could not be read or are wrong.
func (v *Value[T]) take(contents [][]byte, err error) error {
	next := *v.state.Load()
	if err == nil {
		var fresh T
		if fresh, err = v.parse(contents, next.value); err == nil {
			next.value, next.good = fresh, true
		}
	}
	next.err = err
	v.state.Store(&next)
	return err
}

// parse names the file in errors. Of several files, Parse knows which one is wrong.
func (v *Value[T]) parse(contents [][]byte, last T) (T, error) {
	value, err := v.options.Parse(contents, last)
	if err != nil && len(v.options.Paths) == 1 {
		err = fmt.Errorf("%s: %w", v.options.Paths[0], err)
	}
	return value, err
}

func (v *Value[T]) looked() {
	if v.options.Looked != nil {
		now := v.state.Load()
		v.options.Looked(now.value, now.err)
	}
}
