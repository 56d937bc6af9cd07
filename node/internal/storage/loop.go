package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	loopControl = "/dev/loop-control"
	// loopMajor is the device number of every loop device.
	loopMajor = 7
)

// loopsWork says whether this machine can attach a file to a loop device.
func loopsWork() error {
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("loop devices are missing: %w", err)
	}
	defer control.Close()
	if _, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE); err != nil {
		return fmt.Errorf("loop devices do not work: %w", err)
	}
	return nil
}

// attachLoop connects the image to a free loop device, which detaches itself when its last user closes it. The caller mounts it and then
// closes it.
func attachLoop(image string) (device *os.File, err error) {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the image: %w", err)
	}
	defer backing.Close()
	control, err := os.OpenFile(loopControl, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the loop control device: %w", err)
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: blockSize}
	// Direct I/O keeps the data out of the page cache a second time. The kernel ignores the flag where the file system below cannot do it.
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:len(config.Info.File_name)-1], image)
	// Between asking for a free device and taking it another process may take it; asking again gives another one.
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("asking for a free loop device: %w", err)
		}
		device, err := openLoop(number)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attaching the image to %s: %w", device.Name(), err)
		}
	}
}

// openLoop makes the device's node where /dev is not kept by the kernel.
func openLoop(number int) (*os.File, error) {
	node := fmt.Sprintf("/dev/loop%d", number)
	device, err := os.OpenFile(node, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = unix.Mknod(node, unix.S_IFBLK|0o660, int(unix.Mkdev(loopMajor, uint32(number))))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("making %s: %w", node, err)
		}
		device, err = os.OpenFile(node, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a loop device: %w", err)
	}
	return device, nil
}

// loopDevices are the loop devices whose image the filter accepts, as image → device name ("loop3").
func loopDevices(accept func(image string) bool) (map[string]string, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("listing loop devices: %w", err)
	}
	found := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // detached meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("reading a loop device's image: %w", err)
		}
		image := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), " (deleted)")
		if accept(image) {
			found[image] = filepath.Base(filepath.Dir(filepath.Dir(file)))
		}
	}
	return found, nil
}

// detachLoop disconnects the device now or, when something still holds it, as soon as that lets go.
func detachLoop(name string) error {
	device, err := os.OpenFile(filepath.Join("/dev", name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	defer device.Close()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detaching %s: %w", name, err)
	}
	return nil
}
