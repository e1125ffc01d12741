package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeBeside writes a new file in the directory of path, to be renamed to path, so that readers find
// the old text or the new one, never part of it. It returns the new file's name.
func writeBeside(path, text string, mode fs.FileMode) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".chatidentity-*")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}

// overwrite replaces files by their new texts and keeps their permissions. It replaces none unless all
// can be written, and leaves those alone whose text stays the same.
func overwrite(files, texts []string) error {
	renames := map[string]string{} // from the new file to the one that it replaces
	defer func() {
		for written := range renames {
			_ = os.Remove(written) // gone already when all went well
		}
	}()
	for i, file := range files {
		path, mode, err := replaceable(file)
		if err != nil {
			return err
		}
		//nolint:gosec // the user names it
		if before, err := os.ReadFile(path); err == nil && string(before) == texts[i] {
			continue
		}
		written, err := writeBeside(path, texts[i], mode)
		if err != nil {
			return err
		}
		renames[written] = path
	}
	for written, path := range renames {
		if err := os.Rename(written, path); err != nil {
			return err
		}
	}
	return nil
}

// replaceable returns the path without symbolic links, which stay, and the permissions of a file that
// may be written.
func replaceable(file string) (string, fs.FileMode, error) {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is not a regular file", file)
	}
	opened, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return "", 0, err
	}
	return path, info.Mode().Perm(), opened.Close()
}
