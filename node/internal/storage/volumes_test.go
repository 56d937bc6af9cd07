package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// lab is a folder of real volumes that leaves neither mount nor loop device behind. It needs root.
func lab(t *testing.T) *volumes {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a folder")
	v, err := open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if v.plain {
		t.Fatal("this machine has no loop devices, or this is not root")
	}
	t.Cleanup(func() {
		if err := Cleanup(dir); err != nil {
			t.Error(err)
		}
		if left := devicesOf(t, v); len(left) != 0 {
			t.Errorf("loop devices are left: %v", left)
		}
	})
	return v
}

func devicesOf(t *testing.T, v *volumes) map[string]string {
	t.Helper()
	devices, err := loopDevices(func(image string) bool { return strings.HasPrefix(image, v.dir) })
	if err != nil {
		t.Fatal(err)
	}
	return devices
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill writes until the disk is full and returns how much fitted.
func fill(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i)
	}
	var written int64
	for {
		n, err := file.Write(block)
		written += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			return written
		}
		must(t, err)
	}
}

func TestAVolumeIsFullAtItsSizeAndIsRemovedWhole(t *testing.T) {
	v := lab(t)
	const size = 256 << 20
	must(t, v.create("pvc-full", size))
	info, err := os.Stat(v.image("pvc-full"))
	must(t, err)
	if info.Size() != size {
		t.Errorf("the image has %d bytes, not %d", info.Size(), size)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; blocks > size/8 {
		t.Errorf("the empty image takes %d bytes on disk", blocks)
	}
	written := fill(t, filepath.Join(v.data("pvc-full"), "file"))
	if written > size || written < size*90/100 {
		t.Errorf("%d bytes fitted into %d", written, size)
	}
	must(t, v.remove("pvc-full"))
	for _, path := range []string{v.image("pvc-full"), v.mountPoint("pvc-full")} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if left := devicesOf(t, v); len(left) != 0 {
		t.Errorf("loop devices are left: %v", left)
	}
	must(t, v.remove("pvc-full")) // once more, as after a kill
}

func TestMoreVolumesThanTheKernelStartsWithAtOnce(t *testing.T) {
	v := lab(t)
	const many = 20
	var group sync.WaitGroup
	failures := make([]error, many)
	for i := range many {
		group.Go(func() { failures[i] = v.create(fmt.Sprintf("pvc-%d", i), 16<<20) })
	}
	group.Wait()
	must(t, errors.Join(failures...))
	if devices := devicesOf(t, v); len(devices) != many {
		t.Errorf("%d loop devices, not %d", len(devices), many)
	}
	for i := range many {
		must(t, v.remove(fmt.Sprintf("pvc-%d", i)))
	}
}

func TestDataSurvivesCleanupAndAttach(t *testing.T) {
	v := lab(t)
	for _, name := range []string{"pvc-a", "pvc-b"} {
		must(t, v.create(name, 16<<20))
		must(t, os.WriteFile(filepath.Join(v.data(name), "name"), []byte(name), 0o600))
	}
	must(t, Cleanup(v.dir))
	if _, err := os.Stat(v.data("pvc-a")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an unmounted volume has a folder to write to: %v", err)
	}
	must(t, Cleanup(v.dir))
	for range 2 {
		must(t, Attach(v.dir, v.log))
	}
	if devices := devicesOf(t, v); len(devices) != 2 {
		t.Errorf("%d loop devices, not 2", len(devices))
	}
	for _, name := range []string{"pvc-a", "pvc-b"} {
		// A claim that is provisioned again, because the first answer was lost, gets the same disk.
		must(t, v.create(name, 16<<20))
		content, err := os.ReadFile(filepath.Join(v.data(name), "name"))
		if err != nil || string(content) != name {
			t.Errorf("%s holds %q, %v", name, content, err)
		}
	}
}

func TestADamagedVolumeDoesNotKeepTheOthersUnmounted(t *testing.T) {
	v := lab(t)
	must(t, os.WriteFile(v.image("pvc-0"), make([]byte, 1<<20), 0o600))
	must(t, v.create("pvc-1", 16<<20))
	must(t, Cleanup(v.dir))
	err := v.attachAll()
	if err == nil || !strings.Contains(err.Error(), "pvc-0") {
		t.Errorf("the damaged volume is not reported: %v", err)
	}
	if _, err := os.Stat(v.data("pvc-1")); err != nil {
		t.Error(err)
	}
}

func TestAFormatThatWasCutOffIsDoneAgain(t *testing.T) {
	v := lab(t)
	must(t, os.WriteFile(filepath.Join(v.images(), unfinishedPrefix+"pvc-cut"), []byte("half"), 0o600))
	names, err := v.list()
	if err != nil || len(names) != 0 {
		t.Fatalf("an unfinished image counts as a volume: %v, %v", names, err)
	}
	must(t, v.create("pvc-cut", 16<<20))
	must(t, v.remove("pvc-cut"))
	entries, err := os.ReadDir(v.images())
	if err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestAVolumeThatAPodStillHasIsNotRemoved(t *testing.T) {
	v := lab(t)
	must(t, v.create("pvc-busy", 16<<20))
	pod := filepath.Join(t.TempDir(), "pod")
	must(t, os.Mkdir(pod, 0o700))
	must(t, syscall.Mount(v.data("pvc-busy"), pod, "", syscall.MS_BIND, ""))
	if err := v.remove("pvc-busy"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("removing answered %v", err)
	}
	if _, err := os.Stat(v.image("pvc-busy")); err != nil {
		t.Error(err)
	}
	must(t, syscall.Unmount(pod, 0))
	must(t, v.remove("pvc-busy"))
}

func TestCleanupTakesPodsMountsOfItsVolumesOnly(t *testing.T) {
	v, other := lab(t), lab(t)
	must(t, v.create("pvc-ours", 16<<20))
	must(t, other.create("pvc-theirs", 16<<20))
	pod := filepath.Join(t.TempDir(), "pod")
	must(t, os.Mkdir(pod, 0o700))
	must(t, syscall.Mount(v.data("pvc-ours"), pod, "", syscall.MS_BIND, ""))
	must(t, Cleanup(v.dir))
	if device, err := mountedAt(pod); err != nil || device != "" {
		t.Errorf("the pod's mount is left: %q, %v", device, err)
	}
	if _, err := os.Stat(other.data("pvc-theirs")); err != nil {
		t.Errorf("another folder's volume went: %v", err)
	}
	must(t, Cleanup(filepath.Join(v.dir, "not there")))
}

func TestOnlyItsOwnPathIsRemoved(t *testing.T) {
	v := lab(t)
	bystander := t.TempDir()
	p := &provisioner{volumes: v, nodeName: "node"}
	for name, path := range map[string]string{"pvc-x": bystander, "..": v.dir, "pvc-y": v.data("pvc-z")} {
		volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
		volume.Spec.Local = &corev1.LocalVolumeSource{Path: path}
		var ignored *controller.IgnoredError
		if err := p.Delete(t.Context(), volume); !errors.As(err, &ignored) {
			t.Errorf("deleting %s at %s answered %v", name, path, err)
		}
	}
	if err := v.remove(".."); err == nil {
		t.Error("a path was taken for a name")
	}
	if _, err := os.Stat(bystander); err != nil {
		t.Error(err)
	}
}

func TestTheSweepKeepsWhatIsWantedAndKnowsItsCluster(t *testing.T) {
	v := lab(t)
	for _, name := range []string{"pvc-wanted", "pvc-orphan"} {
		must(t, v.create(name, 16<<20))
	}
	must(t, v.sweep(map[string]bool{"pvc-wanted": true}))
	names, err := v.list()
	if err != nil || len(names) != 1 || names[0] != "pvc-wanted" {
		t.Errorf("left: %v, %v", names, err)
	}
	for cluster, want := range map[int]struct {
		name string
		same bool
	}{0: {"one", true}, 1: {"one", true}, 2: {"two", false}} {
		if cluster == 2 {
			must(t, os.WriteFile(filepath.Join(v.dir, "cluster"), []byte("one\n"), 0o600))
		}
		if same, err := v.belongTo(want.name); err != nil || same != want.same {
			t.Errorf("%s: %v, %v", want.name, same, err)
		}
	}
}

func TestPlainFoldersWhereLoopDevicesAreMissing(t *testing.T) {
	v := lab(t)
	v.plain = true
	must(t, v.create("pvc-plain", 16<<20))
	must(t, os.WriteFile(filepath.Join(v.data("pvc-plain"), "file"), nil, 0o600))
	names, err := v.list()
	if err != nil || len(names) != 1 {
		t.Errorf("volumes: %v, %v", names, err)
	}
	must(t, v.remove("pvc-plain"))
	if _, err := os.Lstat(v.mountPoint("pvc-plain")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}
