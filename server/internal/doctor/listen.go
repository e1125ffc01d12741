package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// sockets opens every address as serve would. Config refuses unsafe ones.
func sockets(ctx context.Context, s *setup) []Finding {
	found := s.probe(ctx)
	return slices.Concat(found[:len(s.Listen)]...)
}

func adminSocket(ctx context.Context, s *setup) []Finding {
	found := s.probe(ctx)
	return slices.Concat(found[len(s.Listen):]...)
}

// probe returns what it found at each address of --listen and, last, at those of HTTP. They are
// open together, because one may exclude another.
func (s *setup) probe(ctx context.Context) [][]Finding {
	all := append(slices.Clone(s.Listen), s.AdminListen)
	if s.HasProfiles() {
		all = append(all, s.ProfileListen)
	}
	places := make([]listen.Address, len(all))
	for i, address := range all {
		places[i] = s.ListenAddress(address)
	}
	found := make([][]Finding, len(all))
	for i, err := range listen.Probe(ctx, places...) {
		flag := "--listen"
		switch i - len(s.Listen) {
		case 0:
			flag = "--admin-listen"
		case 1:
			flag = "--profile-listen"
		}
		found[i] = of(all[i].String(), s.socket(flag, all[i], err))
	}
	return found
}

func (s *setup) socket(flag string, address config.Address, err error) []Finding {
	switch {
	case err != nil:
		return refused(config.ListenError(flag, address, err))
	case address.IsUnix():
		return s.socketAccess(filepath.Dir(address.Address))
	case address.IsLoopback():
		return okf("free; reachable only from this pod or machine")
	default:
		return okf("free; reachable from the network")
	}
}

// othersWrite is what users other than a file's owner and group need to write to it.
const othersWrite fs.FileMode = 0o002

// socketAccess says what may keep the listed users from connecting to a socket in the directory, or
// lets others replace it.
func (s *setup) socketAccess(directory string) []Finding {
	info, err := os.Stat(directory)
	if err != nil {
		return failedf("%v", err)
	}
	mode := info.Mode()
	switch {
	case mode&othersWrite != 0 && mode&fs.ModeSticky == 0:
		return warningf("free, but every user may replace files in %s: take away others' right to write", directory)
	case s.othersCall() && s.SocketMode&0o022 == 0:
		return warningf("free, but --socket-mode %#o keeps out every user except %d: let the group write, such as with 0660",
			s.SocketMode, os.Getuid())
	case s.othersCall() && mode&0o011 == 0:
		return warningf("free, but users other than its owner cannot enter %s: share a group with the app and let it in, "+
			"such as with mode 0750", directory)
	default:
		return okf("free; for the users of --allow-uid %s", strings.Trim(fmt.Sprint(s.AllowUID), "[]"))
	}
}

// othersCall reports whether a user other than serve's own is to call.
func (s *setup) othersCall() bool {
	return slices.ContainsFunc(s.AllowUID, func(user uint32) bool { return int64(user) != int64(os.Getuid()) })
}
