package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

// addresses checks where serve would listen. What is not safe has been refused
// before, as by serve.
func (x *examination) addresses(ctx context.Context) {
	for _, address := range x.config.Listen {
		check := "listen " + address.String()
		if address.IsUnix() {
			x.socket(ctx, check, address.Address)
			continue
		}
		x.port(ctx, check, address)
	}
	x.port(ctx, "admin listen "+x.config.AdminListen.String(), x.config.AdminListen)
}

// port binds an address for an instant; no connection can be lost by that,
// because nothing else listens there.
func (x *examination) port(ctx context.Context, check string, address config.Address) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, address.Network, address.Address)
	if err != nil {
		x.failf(check, "%v", listenFailure(err))
		return
	}
	_ = listener.Close()
	x.okf(check, "free; reachable from %s", reach(address))
}

func reach(address config.Address) string {
	if address.IsLoopback() {
		return "this pod or machine alone"
	}
	return "the network"
}

// socket checks what a unix socket needs, and makes one beside its place.
func (x *examination) socket(ctx context.Context, check, path string) {
	if err := rpc.CheckSocketPath(ctx, path); err != nil {
		x.failf(check, "%v", err)
		return
	}
	directory := filepath.Dir(path)
	if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) {
		x.failf(check, "its directory %s is not there: make it, writable for user %d", directory, os.Getuid())
		return
	}
	if err := trySocket(ctx, directory, fs.FileMode(x.config.SocketMode)); err != nil {
		x.failf(check, "no socket can be made in its directory: %v: make %s writable for user %d", err, directory, os.Getuid())
		return
	}
	if doubt := x.socketAccess(directory); doubt != "" {
		x.warnf(check, "free, but %s", doubt)
		return
	}
	x.okf(check, "free; for the users of --allow-uid %s", strings.Trim(fmt.Sprint(x.config.AllowUID), "[]"))
}

// trySocket makes a socket in a private directory beside its place, as serve
// does, and removes both.
func trySocket(ctx context.Context, directory string, mode fs.FileMode) error {
	private, err := os.MkdirTemp(directory, ".ci-*")
	if err != nil {
		return err
	}
	path := filepath.Join(private, "s")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err == nil {
		err = errors.Join(os.Chmod(path, mode), listener.Close())
	}
	return errors.Join(err, os.RemoveAll(private))
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
