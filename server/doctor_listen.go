package main

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

// addresses checks where serve would listen, with the code that opens the listeners. Unsafe addresses
// have been refused before, as by serve.
func (x *examination) addresses(ctx context.Context) {
	addresses := append(slices.Clone(x.config.Listen), x.config.AdminListen)
	wanted := make([]listen.Address, len(addresses))
	for i, address := range addresses {
		wanted[i] = whereToListen(x.config, address)
	}
	for i, err := range listen.Probe(ctx, wanted...) {
		check := "listen " + addresses[i].String()
		if i == len(x.config.Listen) {
			check = "admin " + check
		}
		switch {
		case err != nil:
			x.failf(check, "%v", err)
		case addresses[i].IsUnix():
			x.socket(check, filepath.Dir(addresses[i].Address))
		default:
			x.okf(check, "free; reachable from %s", reach(addresses[i]))
		}
	}
}

func reach(address config.Address) string {
	if address.IsLoopback() {
		return "this pod or machine alone"
	}
	return "the network"
}

// socket reports who can use a socket in the directory.
func (x *examination) socket(check, directory string) {
	if doubt := x.socketAccess(directory); doubt != "" {
		x.warnf(check, "free, but %s", doubt)
		return
	}
	x.okf(check, "free; for the users of --allow-uid %s", strings.Trim(fmt.Sprint(x.config.AllowUID), "[]"))
}

// socketAccess says what may keep the listed users from connecting, or lets
// others put a socket of theirs in its place.
func (x *examination) socketAccess(directory string) string {
	info, err := os.Stat(directory)
	if err != nil {
		return err.Error()
	}
	mode := info.Mode()
	switch {
	case mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0:
		return fmt.Sprintf("everybody may replace files in %s: take away others' right to write", directory)
	case !x.othersCall():
		return ""
	case x.config.SocketMode&0o022 == 0:
		return fmt.Sprintf("--socket-mode %#o keeps every user but %d out: give the group the right to write, such as 0660", x.config.SocketMode, os.Getuid())
	case mode.Perm()&0o011 == 0:
		return fmt.Sprintf("users other than its owner cannot enter %s: share a group with the app and let it in, such as with mode 0750", directory)
	default:
		return ""
	}
}

// othersCall reports whether a user other than serve's own is to call.
func (x *examination) othersCall() bool {
	for _, user := range x.config.AllowUID {
		if int64(user) != int64(os.Getuid()) {
			return true
		}
	}
	return false
}
