package ociimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func program(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

func entries(t *testing.T, image v1.Image) map[string]*tar.Header {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers: %d, %v", len(layers), err)
	}
	stream, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	found := map[string]*tar.Header{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header
	}
}

func TestTheSameFilesGiveTheSameDigestInAnyOrder(t *testing.T) {
	one, two := program(t, "one"), program(t, "two")
	first, err := FromFiles([]File{{Path: "/bin/one", Source: one}, {Path: "/bin/two", Source: two}}, Config{Entrypoint: []string{"/bin/one"}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := FromFiles([]File{{Path: "/bin/two", Source: two}, {Path: "/bin/one", Source: program(t, "one")}}, Config{Entrypoint: []string{"/bin/one"}})
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, first) != digest(t, second) {
		t.Errorf("digests differ: %s and %s", digest(t, first), digest(t, second))
	}
	other, err := FromFiles([]File{{Path: "/bin/two", Source: one}, {Path: "/bin/one", Source: two}}, Config{Entrypoint: []string{"/bin/one"}})
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, first) == digest(t, other) {
		t.Error("other content has the same digest")
	}
}

func TestFilesAreRootsAndInTheirFolders(t *testing.T) {
	image, err := FromFiles([]File{{Path: "/a/b/program", Source: program(t, "x")}, {Path: "/a/data", Source: program(t, "y"), Mode: 0o640}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	found := entries(t, image)
	for path, mode := range map[string]int64{"a/": 0o755, "a/b/": 0o755, "a/b/program": 0o755, "a/data": 0o640} {
		header := found[path]
		if header == nil || header.Mode != mode || header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s: %+v", path, header)
		}
	}
	if len(found) != 4 {
		t.Errorf("%d entries, not 4", len(found))
	}
}

func TestPathsOutsideTheImageAreRefused(t *testing.T) {
	source := program(t, "x")
	for _, path := range []string{"relative", "/a/../../etc/passwd", "/", "/a//b", "/a/", ""} {
		if _, err := FromFiles([]File{{Path: path, Source: source}}, Config{}); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
	if _, err := FromFiles([]File{{Path: "/a", Source: source}, {Path: "/a", Source: source}}, Config{}); err == nil {
		t.Error("a path given twice was accepted")
	}
}

func TestConfigReachesTheImage(t *testing.T) {
	image, err := FromFiles([]File{{Path: "/p", Source: program(t, "x")}}, Config{Entrypoint: []string{"/p"}, Cmd: []string{"-v"}, Env: []string{"A=b"}, User: "65532:65532"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := file.Config
	if !slices.Equal(got.Entrypoint, []string{"/p"}) || !slices.Equal(got.Cmd, []string{"-v"}) || !slices.Equal(got.Env, []string{searchPath, "A=b"}) || got.User != "65532:65532" {
		t.Errorf("configuration: %+v", got)
	}
	if file.OS != "linux" || file.Architecture != runtime.GOARCH || file.Created.Unix() != 0 {
		t.Errorf("platform %s/%s, created %s", file.OS, file.Architecture, file.Created)
	}
	other, err := FromFiles([]File{{Path: "/p", Source: program(t, "x")}}, Config{Architecture: "riscv64"})
	if err != nil {
		t.Fatal(err)
	}
	if file, err = other.ConfigFile(); err != nil || file.Architecture != "riscv64" {
		t.Errorf("architecture: %+v, %v", file, err)
	}
}

func TestAPushedImageIsWhatTheRegistryGivesBack(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	image, err := FromFiles([]File{{Path: "/p", Source: program(t, "x")}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Push(t.Context(), server.URL, "registry.berth.internal/berth/thing:1", image); err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/berth/thing:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, pulled) != digest(t, image) {
		t.Errorf("pushed %s, pulled %s", digest(t, image), digest(t, pulled))
	}
}

func TestRegistryURLsAreChecked(t *testing.T) {
	for _, url := range []string{"10.41.0.2:5000", "ftp://10.41.0.2", "http://", "http://10.41.0.2:5000/v2", ":"} {
		if _, err := target(url, "registry.berth.internal/a:1"); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
	for _, reference := range []string{"", "a", "registry.berth.internal/A:1", "registry.berth.internal/a"} {
		if _, err := target("http://10.41.0.2:5000", reference); err == nil {
			t.Errorf("the name %q was accepted", reference)
		}
	}
}

func TestTheCommandBuildsFromARootFileSystem(t *testing.T) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./etc/hello", Size: 2, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	rootFS, output := program(t, content.String()), filepath.Join(t.TempDir(), "image.tar")
	command := Command()
	var printed bytes.Buffer
	command.SetOut(&printed)
	command.SetArgs([]string{"build", "--from-rootfs", rootFS, "--ref", "berth.internal/a:1", "--ref", "berth.internal/a:2", "--entrypoint", "/bin/a,b", "--output", output})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("berth.internal/a:2")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(output, &tag)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(file.Config.Entrypoint, []string{"/bin/a,b"}) || entries(t, image)["./etc/hello"] == nil {
		t.Errorf("built %+v with %v", file.Config, entries(t, image))
	}
	if lines := strings.Split(strings.TrimSpace(printed.String()), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "berth.internal/a:2@sha256:") {
		t.Errorf("printed %q", printed.String())
	}
}
