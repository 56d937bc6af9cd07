package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cleanupDeadline is how long all loop devices of a node may take together: a busy machine frees twenty in some seconds.
const cleanupDeadline = 30 * time.Second

// Cleanup unmounts every volume below dir, also where pods had them, and frees their loop devices. The volumes stay on disk. It is for a node
// whose pods are gone, and does not mind that dir is not there.
func Cleanup(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the volumes' folder: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("the volumes' folder: %w", err)
	}
	images := filepath.Join(dir, "images") + "/"
	ours := func(image string) bool { return strings.HasPrefix(image, images) }
	devices, err := loopDevices(ours)
	if err != nil {
		return err
	}
	if err := unmountAll(filepath.Join(dir, "mounts")+"/", devices); err != nil {
		return err
	}
	for _, device := range devices {
		if err := detachLoop(device); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(cleanupDeadline); ; time.Sleep(5 * time.Millisecond) {
		left, err := loopDevices(ours)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d volumes are still in use %s after their unmount: %v", len(left), cleanupDeadline, left)
		}
	}
}

// unmountAll takes away the mounts below the prefix and those of the devices anywhere, later ones first.
func unmountAll(prefix string, devices map[string]string) error {
	numbers := map[string]bool{}
	for _, device := range devices {
		content, err := os.ReadFile(filepath.Join("/sys/block", device, "dev"))
		if err != nil {
			return fmt.Errorf("reading the number of %s: %w", device, err)
		}
		numbers[strings.TrimSpace(string(content))] = true
	}
	all, err := mounts()
	if err != nil {
		return err
	}
	var failed []error
	for i := len(all) - 1; i >= 0; i-- {
		if !strings.HasPrefix(all[i].path, prefix) && !numbers[all[i].device] {
			continue
		}
		err := unix.Unmount(all[i].path, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			// A process stands in it. The device is freed when that ends.
			err = unix.Unmount(all[i].path, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			failed = append(failed, fmt.Errorf("unmounting %s: %w", all[i].path, err))
		}
	}
	return errors.Join(failed...)
}
