// Package host deals with what a node leaves on its host beside its network: cgroups, mounts and processes. It never mounts or unmounts a
// cgroup file system.
package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies are the folders that hold cgroups: one for cgroup v2, one a controller for v1.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("no cgroups: %w", err)
	}
	var found []string
	for _, entry := range entries {
		folder := filepath.Join(cgroupRoot, entry.Name())
		if info, err := os.Stat(filepath.Join(folder, "cgroup.procs")); err == nil && info.Mode().IsRegular() {
			found = append(found, folder)
		}
	}
	return found, nil
}

// MakeCgroup makes the parent of all pods' cgroups in every hierarchy.
func MakeCgroup(name string) error {
	folders, err := hierarchies()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		made := filepath.Join(folder, name)
		if err := os.Mkdir(made, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making a cgroup: %w", err)
		}
		// A v1 cpuset starts empty, and nothing runs in an empty one.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			parent, err := os.ReadFile(filepath.Join(folder, file))
			own, ownErr := os.ReadFile(filepath.Join(made, file))
			if err != nil || ownErr != nil || len(bytes.TrimSpace(own)) > 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(made, file), parent, 0o644); err != nil {
				return fmt.Errorf("filling %s: %w", file, err)
			}
		}
	}
	return nil
}

// KillCgroup ends every process in it and waits until they are gone.
func KillCgroup(name string) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		pids, err := cgroupProcesses(name)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("ending process %d: %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gave up waiting for %d processes to end", len(pids))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func cgroupProcesses(name string) ([]int, error) {
	var pids []int
	err := eachCgroup(name, func(folder string) error {
		text, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			return err
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// RemoveCgroup removes it from every hierarchy.
func RemoveCgroup(name string) error {
	return eachCgroup(name, func(folder string) error {
		if err := syscall.Rmdir(folder); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("removing cgroup %s: %w", folder, err)
		}
		return nil
	})
}

// eachCgroup visits children before their parents.
func eachCgroup(name string, visit func(folder string) error) error {
	folders, err := hierarchies()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		var found []string
		err := filepath.WalkDir(filepath.Join(folder, name), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		for i := len(found) - 1; i >= 0; i-- {
			if err := visit(found[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
