package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// KillWith ends every process whose command line has this word, such as the runtime's shims, whose words name their runtime's socket.
func KillWith(word string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := processesWith(word)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gave up waiting for processes %v to end", pids)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func processesWith(word string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // It ended since.
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, argument := range bytes.Split(text, []byte{0}) {
			if string(argument) == word {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// Unmount everything at and below this folder, the innermost first. The kubelet mounts its own folder onto itself where the root file system
// is not shared.
func Unmount(folder string) error {
	for range 10 {
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		var found []string
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 4 && strings.HasPrefix(fields[4]+"/", folder+"/") {
				found = append(found, strings.ReplaceAll(fields[4], `\040`, " "))
			}
		}
		if len(found) == 0 {
			return nil
		}
		sort.Sort(sort.Reverse(sort.StringSlice(found)))
		for _, path := range found {
			if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				return fmt.Errorf("unmounting %s: %w", path, err)
			}
		}
	}
	return fmt.Errorf("mounts below %s come back", folder)
}
