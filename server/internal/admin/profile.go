package admin

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

const (
	// ProfileHeader must be in a request for a profile, with any value. No link, form or image of a web
	// page can set it.
	ProfileHeader = "X-Chatidentity-Profile"

	defaultProfile = 10 * time.Second
	maxProfile     = 30 * time.Second
	writeProfile   = 15 * time.Second // for sending it
)

// Profiles serves profiles of the running program, one at a time, to GET requests with ProfileHeader
// that name a loopback host:
//
//	/profile/cpu?seconds=N  where it spends its time, for 1 to 30 seconds; 10 if N is not given
//	/profile/heap           what its memory holds
//
// They are for `go tool pprof`. They hold names of functions and sizes, no values.
func Profiles() http.Handler {
	var p profiles
	mux := http.NewServeMux()
	mux.Handle("GET /profile/cpu", p.guarded(cpuProfile))
	mux.Handle("GET /profile/heap", p.guarded(heapProfile))
	return mux
}

var errSeconds = errors.New("seconds must be from 1 to 30")

type profiles struct{ taking sync.Mutex }

// guarded takes a profile for whoever may have it, unless one is being taken.
func (p *profiles) guarded(take func(*http.Request, *bytes.Buffer) (status int, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get(ProfileHeader) == "":
			http.Error(w, "give the header "+ProfileHeader+": 1", http.StatusForbidden)
			return
		case !isLoopback(r.Host): // a name that somebody else's DNS made ours
			http.Error(w, "name the listener by its loopback address", http.StatusForbidden)
			return
		case !p.taking.TryLock():
			http.Error(w, "another profile is being taken", http.StatusTooManyRequests)
			return
		}
		defer p.taking.Unlock()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxProfile + writeProfile))
		var profile bytes.Buffer
		if status, err := take(r, &profile); err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(profile.Bytes())
	})
}

func isLoopback(host string) bool {
	parsed := url.URL{Host: host}
	name := parsed.Hostname()
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

func cpuProfile(r *http.Request, to *bytes.Buffer) (int, error) {
	length := defaultProfile
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 8)
		length = time.Duration(seconds) * time.Second // 8 bits
		if err != nil || length == 0 || length > maxProfile {
			return http.StatusBadRequest, errSeconds
		}
	}
	if err := pprof.StartCPUProfile(to); err != nil {
		return http.StatusServiceUnavailable, err
	}
	defer pprof.StopCPUProfile() // which writes the rest of it
	select {
	case <-time.After(length):
	case <-r.Context().Done():
	}
	return http.StatusOK, nil
}

func heapProfile(_ *http.Request, to *bytes.Buffer) (int, error) {
	runtime.GC() // what is garbage does not count
	return http.StatusInternalServerError, pprof.Lookup("heap").WriteTo(to, 0)
}
