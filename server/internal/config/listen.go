package config

import "github.com/chatidentity/chatidentity/server/internal/listen"

// ListenAddress returns the address as listen opens it.
func (u *Unix) ListenAddress(address Address) listen.Address {
	return listen.Address{Network: address.Network, Address: address.Address, SocketMode: u.SocketMode}
}

// ListenError names the flag in an error of opening its address.
func ListenError(flag string, address Address, err error) error {
	return Usage("%s %v: %v", flag, address, err)
}
