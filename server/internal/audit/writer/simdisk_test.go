//go:build unix

package writer

import (
	"maps"
	"math/rand/v2"
	"slices"
)

const sector = 512 // bytes that a disk writes whole or not at all

// simDisk is one directory of a disk in memory. What was synced survives a loss of power. Of the
// rest anything may: whole changes, a torn one, or sectors in any order. It is used by one goroutine
// at a time.
type simDisk struct {
	random  *rand.Rand
	names   map[string]*inode // as the kernel shows them
	durable map[string]*inode // as the medium has them
	journal []func(names map[string]*inode)
	inodes  []*inode

	faulty    int           // of a thousand operations, how many fail
	hangs     int           // of a thousand syncs, how many hang
	hanging   chan struct{} // what hangs waits for it to be closed
	reordered bool          // a loss of power has left sectors out of order
	onRemove  func(name string)
}

// inode is a file.
type inode struct {
	number uint64
	now    []byte   // as the kernel shows it
	kept   []byte   // as the medium has it
	dirty  []change // on the way there, in order
	linked bool
}

// change is a write, or a truncation if there are no bytes.
type change struct {
	at    int64
	bytes []byte
}

func (c change) applied(b []byte) []byte {
	if c.bytes == nil {
		return b[:min(int64(len(b)), c.at)]
	}
	if missing := c.at - int64(len(b)); missing > 0 {
		b = append(b, make([]byte, missing)...)
	}
	n := copy(b[c.at:], c.bytes)
	return append(b, c.bytes[n:]...)
}

func newSimDisk(random *rand.Rand) *simDisk {
	return &simDisk{random: random, names: map[string]*inode{}, durable: map[string]*inode{}}
}

// chance is true n times of a thousand.
func (d *simDisk) chance(n int) bool { return d.random.IntN(1000) < n }

// rename changes the names, durably with the next sync of the directory.
func (d *simDisk) rename(change func(names map[string]*inode)) {
	change(d.names)
	d.journal = append(d.journal, change)
	d.link()
}

// link notes which files have a name.
func (d *simDisk) link() {
	for _, i := range d.inodes {
		i.linked = false
	}
	for _, i := range d.names {
		i.linked = true
	}
}

func (d *simDisk) create(name string) *inode {
	i := &inode{number: uint64(len(d.inodes) + 1)}
	d.inodes = append(d.inodes, i)
	d.rename(func(names map[string]*inode) { names[name] = i })
	return i
}

// losePower leaves what the medium has, and some of what was on the way there.
func (d *simDisk) losePower() {
	for _, change := range d.journal[:d.random.IntN(len(d.journal)+1)] {
		change(d.durable)
	}
	d.names, d.journal = maps.Clone(d.durable), nil
	d.link()
	for _, i := range d.inodes {
		d.land(i)
		i.now = slices.Clone(i.kept)
	}
}

// land brings some of the changes of a file to the medium, and forgets the others.
func (d *simDisk) land(i *inode) {
	if d.random.IntN(2) == 0 {
		whole := d.random.IntN(len(i.dirty) + 1)
		for _, c := range i.dirty[:whole] {
			i.kept = c.applied(i.kept)
		}
		if whole < len(i.dirty) && i.dirty[whole].bytes != nil {
			torn := i.dirty[whole]
			torn.bytes = torn.bytes[:d.random.IntN(len(torn.bytes))]
			i.kept = torn.applied(i.kept)
		}
	} else {
		for _, c := range i.dirty {
			d.landSectors(i, c)
		}
	}
	i.dirty = nil
}

func (d *simDisk) landSectors(i *inode, c change) {
	if c.bytes == nil {
		if d.random.IntN(4) > 0 {
			i.kept = c.applied(i.kept)
		}
		return
	}
	for len(c.bytes) > 0 {
		n := min(int64(len(c.bytes)), sector-c.at%sector)
		if d.random.IntN(3) > 0 {
			i.kept = change{c.at, c.bytes[:n]}.applied(i.kept)
		} else {
			d.reordered = true
		}
		c = change{c.at + n, c.bytes[n:]}
	}
}

// lose is a sync that failed: truncations are in the file system's journal, but of each write any
// part may be lost, and the kernel takes all of it for written.
func (d *simDisk) lose(i *inode) {
	for _, c := range i.dirty {
		if c.bytes != nil {
			if c.bytes = c.bytes[:d.random.IntN(len(c.bytes)+1)]; len(c.bytes) == 0 {
				continue
			}
		}
		i.kept = c.applied(i.kept)
	}
	i.dirty = nil
}

// files returns the names, sorted.
func (d *simDisk) files() []string { return slices.Sorted(maps.Keys(d.names)) }
