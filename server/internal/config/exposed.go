package config

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
)

// What users other than a file's owner and group can do with it.
const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o002
)

// Exposed returns a notice for each file with a secret that every user can read, and for each file
// that decides who may call and that every user can change.
func (s *Serve) Exposed() []Notice {
	notices := slices.Concat(
		exposed(othersRead|othersWrite, s.AuditKeyFile, s.LimitRedisPasswordFile, s.LimitRedisKey, s.TLSKey),
		exposed(othersWrite, s.CallerTokensFile, s.PolicyFile, s.TLSCert, s.TLSClientCA, s.CAFile,
			s.LimitRedisCA, s.LimitRedisCert),
	)
	for _, one := range s.Organizations(s.policyNow()) {
		notices = append(notices, exposed(othersRead|othersWrite, one.SecretFile, one.APIKeyFile)...)
	}
	return notices
}

func exposed(forbidden fs.FileMode, paths ...string) []Notice {
	var notices []Notice
	if runtime.GOOS == "windows" { // where modes say nothing
		return nil
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&forbidden == 0 {
			continue // whoever reads the file says what else is wrong with it
		}
		if info.Mode()&othersWrite == 0 && inVolume(path) {
			continue // only containers that mount the Secret see the file
		}
		can := "read"
		if info.Mode()&othersWrite != 0 {
			can = "change"
		}
		notices = append(notices, Notice{Setting: path, Text: fmt.Sprintf("%#o: every user here can %s the file: "+
			"give it the mode 0600, or 0640 and a group of its own", info.Mode().Perm(), can)})
	}
	return notices
}

// inVolume reports whether the kubelet wrote the file: in its volumes a file is a link into ..data.
func inVolume(path string) bool {
	to, err := os.Readlink(path)
	return err == nil && strings.HasPrefix(to, "..data/")
}
