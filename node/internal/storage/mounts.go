package storage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is one line of this process's mount table.
type mount struct {
	// device is "major:minor" of the file system.
	device string
	path   string
}

func mounts() ([]mount, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("opening the mount table: %w", err)
	}
	defer file.Close()
	var all []mount
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return nil, fmt.Errorf("the mount table's line %q is short", lines.Text())
		}
		all = append(all, mount{device: fields[2], path: unescape(fields[4])})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the mount table: %w", err)
	}
	return all, nil
}

// unescape undoes the kernel's octal escapes of white space and backslashes.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				plain.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		plain.WriteByte(text[i])
	}
	return plain.String()
}

// mountedAt is the device mounted at the path, or empty.
func mountedAt(path string) (string, error) {
	all, err := mounts()
	if err != nil {
		return "", err
	}
	device := ""
	for _, m := range all {
		if m.path == path {
			device = m.device // the last one is on top
		}
	}
	return device, nil
}

// unmount takes away everything that is mounted at the path, which may be nothing.
func unmount(path string) error {
	for {
		err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmounting %s: %w", path, err)
		}
	}
}
