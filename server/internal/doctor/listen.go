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
)

// sockets opens every address as serve would. Config refuses unsafe ones.
func sockets(_ context.Context, s *setup) []Finding {
	var findings []Finding
	for i, address := range s.Config.Listen {
		findings = append(findings, s.socket("--listen", address, s.sockets()[i])...)
	}
	return findings
}

func adminSocket(_ context.Context, s *setup) []Finding {
	return s.socket("--admin-listen", s.Config.AdminListen, s.sockets()[len(s.Config.Listen)])
}

func (s *setup) socket(flag string, address config.Address, err error) []Finding {
	found := okf("free; reachable from the network")
	switch {
	case err != nil:
		found = refused(config.ListenError(flag, address, err))
	case address.IsUnix():
		found = s.socketAccess(filepath.Dir(address.Address))
	case address.IsLoopback():
		found = okf("free; reachable only from this pod or machine")
	}
	return of(address.String(), found)
}

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
	case s.othersCall() && s.Config.SocketMode&0o022 == 0:
		return warningf("free, but --socket-mode %#o keeps out every user except %d: let the group write, such as with 0660", s.Config.SocketMode, os.Getuid())
	case s.othersCall() && mode&0o011 == 0:
		return warningf("free, but users other than its owner cannot enter %s: share a group with the app and let it in, such as with mode 0750", directory)
	default:
		return okf("free; for the users of --allow-uid %s", strings.Trim(fmt.Sprint(s.Config.AllowUID), "[]"))
	}
}

// othersCall reports whether a user other than serve's own is to call.
func (s *setup) othersCall() bool {
	return slices.ContainsFunc(s.Config.AllowUID, func(user uint32) bool { return int64(user) != int64(os.Getuid()) })
}
