package process_test

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/process"
)

// slowReader reads nothing until it is released.
type slowReader struct {
	released chan struct{}
	read     bytes.Buffer
}

func (r *slowReader) Write(line []byte) (int, error) {
	<-r.released
	return r.read.Write(line)
}

func TestLogNeverWaitsForItsReader(t *testing.T) {
	t.Parallel()
	reader := &slowReader{released: make(chan struct{})}
	log := process.OpenLog(reader, func(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) })
	const lines = 5000
	for i := range lines {
		log.Info("line", "number", i)
	}
	dropped := droppedLines(t, log)
	if dropped < lines-1100 || dropped >= lines {
		t.Errorf("%v of %d lines were dropped", dropped, lines)
	}
	close(reader.released)
	log.Close()
	text := reader.read.String()
	if got := strings.Count(text, "msg=line "); got != lines-int(dropped) {
		t.Errorf("%d lines arrived, %v were dropped", got, dropped)
	}
	if !strings.Contains(text, "number=0\n") {
		t.Error("the first line is lost")
	}
}

// Who follows is told each line, also those that nobody reads, until another follows.
func TestFollow(t *testing.T) {
	t.Parallel()
	reader := &slowReader{released: make(chan struct{})}
	log := process.OpenLog(reader, func(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) })
	var first, second bytes.Buffer
	stopFirst := log.Follow(func(line []byte) { first.Write(line) })
	log.Info("one")
	stopSecond := log.Follow(func(line []byte) { second.Write(line) })
	stopFirst() // which is over already
	log.Info("two")
	stopSecond()
	log.Info("three")
	close(reader.released)
	log.Close()
	for name, got := range map[string]string{"msg=one": first.String(), "msg=two": second.String()} {
		if !strings.HasSuffix(got, name+"\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("told %q, want %q", got, name)
		}
	}
}

func droppedLines(t *testing.T, log *process.Log) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(log)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics, error %v", len(families), err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
