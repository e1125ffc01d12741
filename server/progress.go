package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// progressBar shows on a terminal how much of the files has been read, and everywhere, at the end,
// how fast.
type progressBar struct {
	console *console
	total   int64
	began   time.Time
	live    bool
	lines   uint64
}

func newProgressBar(console *console, sources []reader.Source) *progressBar {
	bar := &progressBar{console: console, began: time.Now()}
	if file, ok := console.err.(*os.File); ok {
		bar.live = term.IsTerminal(int(file.Fd()))
	}
	for _, source := range sources {
		if info, err := os.Stat(source.Name); err == nil {
			bar.total += info.Size()
		}
	}
	return bar
}

func (b *progressBar) show(bytes int64, lines uint64) {
	b.lines = lines
	if !b.live {
		return
	}
	const width = 30
	filled := width
	if b.total > 0 { // gzipped files hold more than their size
		filled = int(min(bytes*width/b.total, width))
	}
	_, _ = fmt.Fprintf(b.console.err, "\r[%-*s] %d records", width, strings.Repeat("#", filled), lines)
}

func (b *progressBar) done() {
	if b.live {
		_, _ = fmt.Fprint(b.console.err, "\r\x1b[K")
	}
	seconds := time.Since(b.began).Seconds()
	if b.lines == 0 || seconds < 1 { // too little to measure
		return
	}
	_, _ = fmt.Fprintf(b.console.err, "%d lines read in %.1f s, %.0f a second\n",
		b.lines, seconds, float64(b.lines)/seconds)
}
