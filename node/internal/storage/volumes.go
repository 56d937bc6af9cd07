package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	imageSuffix = ".img"
	// unfinishedPrefix marks images that are not formatted yet; no volume's name begins with a dot.
	unfinishedPrefix = ".unfinished-"
	// detachDeadline is how long a loop device may take to let go of its image after the last unmount.
	detachDeadline = 2 * time.Second
)

// volumes is the folder of images and mounts.
type volumes struct {
	dir string
	log *slog.Logger
	// plain: no loop devices here, so volumes are folders without a limit.
	plain bool
}

// open makes the folders and finds out what this machine can do.
func open(dir string, log *slog.Logger) (*volumes, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the volumes' folder: %w", err)
	}
	v := &volumes{dir: dir, log: log}
	for _, folder := range []string{v.images(), v.mountFolder()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("making the volumes' folder: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("closing the volumes' folder: %w", err)
	}
	// The mount table names real paths.
	if v.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, fmt.Errorf("the volumes' folder: %w", err)
	}
	if err := loopsWork(); err != nil {
		v.plain = true
		log.Warn("volumes are plain folders and their size limits are not enforced", "reason", err)
		return v, nil
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return nil, errors.New("mkfs.ext4 is missing (Debian package e2fsprogs)")
	}
	return v, nil
}

func (v *volumes) images() string                { return filepath.Join(v.dir, "images") }
func (v *volumes) mountFolder() string           { return filepath.Join(v.dir, "mounts") }
func (v *volumes) image(name string) string      { return filepath.Join(v.images(), name+imageSuffix) }
func (v *volumes) mountPoint(name string) string { return filepath.Join(v.mountFolder(), name) }

// data is the folder that pods get.
func (v *volumes) data(name string) string { return filepath.Join(v.mountPoint(name), "data") }

// list names the volumes there are, mounted or not.
func (v *volumes) list() ([]string, error) {
	folder, cut := v.images(), imageSuffix
	if v.plain {
		folder, cut = v.mountFolder(), ""
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), cut); ok && checkName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// create makes the volume unless it is there, and mounts it unless it is mounted.
func (v *volumes) create(name string, size int64) error {
	if err := checkName(name); err != nil {
		return err
	}
	if v.plain {
		if err := os.MkdirAll(v.data(name), 0o755); err != nil {
			return fmt.Errorf("making a plain volume: %w", err)
		}
		return nil
	}
	if _, err := os.Stat(v.image(name)); errors.Is(err, fs.ErrNotExist) {
		if err := v.format(name, size); err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("looking for the image: %w", err)
	}
	return v.attach(name)
}

// format makes the image under another name first, so that a formatted one appears at once, also after a power cut.
func (v *volumes) format(name string, size int64) error {
	unfinished := filepath.Join(v.images(), unfinishedPrefix+name)
	file, err := os.OpenFile(unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making an image: %w", err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("sizing an image: %w", err)
	}
	// A new sparse file reads as zeros, so nothing has to be written ahead of use; no blocks are held back for root, who is the tenant.
	// Blocks are the loop device's, also on small disks, where mkfs would choose smaller ones.
	arguments := []string{"-q", "-F", "-b", strconv.Itoa(blockSize), "-i", "16384", "-m", "0", "-e", "remount-ro", "-E", "nodiscard,lazy_itable_init=1,assume_storage_prezeroed=1,root_owner=0:0"}
	arguments = append(arguments, journal(size)...)
	if output, err := exec.Command("mkfs.ext4", append(arguments, unfinished)...).CombinedOutput(); err != nil {
		return fmt.Errorf("formatting an image: %w: %s", err, strings.TrimSpace(string(output)))
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("writing an image: %w", err)
	}
	if err := os.Rename(unfinished, v.image(name)); err != nil {
		return fmt.Errorf("naming an image: %w", err)
	}
	return nil
}

// journal is small beside the disk: a tenant's allowance is for data. On the smallest disks mkfs knows what fits.
func journal(size int64) []string {
	switch {
	case size >= 512<<20:
		return []string{"-J", "size=16"}
	case size >= 32<<20:
		return []string{"-J", "size=4"}
	default:
		return nil
	}
}

// attach mounts the volume unless it is mounted.
func (v *volumes) attach(name string) error {
	at := v.mountPoint(name)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return fmt.Errorf("making a mount point: %w", err)
	}
	device, err := mountedAt(at)
	if err != nil {
		return err
	}
	if device == "" {
		if err := v.mountImage(name, at); err != nil {
			return err
		}
	}
	if err := os.Mkdir(v.data(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the volume's folder: %w", err)
	}
	return nil
}

func (v *volumes) mountImage(name, at string) error {
	loop, err := attachLoop(v.image(name))
	if err != nil {
		return err
	}
	// From here on the mount holds the device; without one, closing it detaches it.
	defer loop.Close()
	// A tenant's root owns the files; no program or device in them may mean anything on the node. Discards give freed space back.
	if err := unix.Mount(loop.Name(), at, "ext4", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOATIME, "discard"); err != nil {
		return fmt.Errorf("mounting %s: %w", name, err)
	}
	return nil
}

// attachAll mounts every volume. One that cannot be mounted does not keep the others from it.
func (v *volumes) attachAll() error {
	if v.plain {
		return nil
	}
	names, err := v.list()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if err := v.attach(name); err != nil {
			failed = append(failed, fmt.Errorf("volume %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// remove takes the volume and everything in it away. While a pod's mount still holds it that is an error, and the volume is whole.
func (v *volumes) remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := unmount(v.mountPoint(name)); err != nil {
		return err
	}
	if err := v.awaitDetached(name); err != nil {
		return err
	}
	_, err := os.Stat(v.image(name))
	hadImage := err == nil
	for _, file := range []string{filepath.Join(v.images(), unfinishedPrefix+name), v.image(name)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an image: %w", err)
		}
	}
	if hadImage {
		if err := os.Remove(v.mountPoint(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a mount point: %w", err)
		}
		return nil
	}
	if err := os.RemoveAll(v.mountPoint(name)); err != nil {
		return fmt.Errorf("removing a plain volume: %w", err)
	}
	return nil
}

// awaitDetached waits until no loop device holds the image: another mount of it, a pod's, would still write to it.
func (v *volumes) awaitDetached(name string) error {
	image := v.image(name)
	for deadline := time.Now().Add(detachDeadline); ; time.Sleep(5 * time.Millisecond) {
		held, err := loopDevices(func(candidate string) bool { return candidate == image })
		if err != nil {
			return err
		}
		device, busy := held[image]
		if !busy {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("volume %s is still in use through %s, %s after its unmount", name, device, detachDeadline)
		}
	}
}
