//go:build bench_profile

// Profiled is a file of the sidecar's package main, and stands there only while it is profiled.
package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// BENCH_PROFILE names the file that takes the CPU profile from the start to SIGUSR1.
func init() {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return
	}
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		panic(err)
	}
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, syscall.SIGUSR1)
	go func() {
		<-enough
		pprof.StopCPUProfile()
		_ = file.Close()
	}()
}
