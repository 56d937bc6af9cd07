// Package ociimage builds container images of one layer without a container engine: from a few static binaries or from a root file system's
// tarball, as a tarball that containerd imports or as a push to a registry.
//
// Invariants:
//   - The same files and configuration give the same digest, whenever and wherever it is built.
//   - An image runs on the architecture it was built on, unless the configuration names another; nothing is cross-built.
package ociimage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// searchPath is Debian's, for images that name none.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// File is one regular file of an image.
type File struct {
	// Path inside the image, absolute and clean.
	Path string
	// Source is read from this machine.
	Source string
	// Mode is the permission bits; zero means 0755, since most files here are programs.
	Mode os.FileMode
}

// Config is what a container of the image runs by default.
type Config struct {
	Entrypoint, Cmd, Env []string
	// User is a uid, uid:gid or name; empty means root.
	User string
	// WorkingDir is / when empty.
	WorkingDir string
	// StopSignal is SIGTERM when empty.
	StopSignal string
	// Architecture is this machine's when empty, as OCI names it.
	Architecture string
}

// FromFiles builds an image that holds these files, owned by root, and the folders above them.
func FromFiles(files []File, config Config) (v1.Image, error) {
	layer, err := layerTar(files)
	if err != nil {
		return nil, err
	}
	return fromLayer(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }, config)
}

// FromRootFS builds an image whose only layer is the uncompressed or gzipped tarball, entries and times as they are.
func FromRootFS(tarPath string, config Config) (v1.Image, error) {
	return fromLayer(func() (io.ReadCloser, error) { return os.Open(tarPath) }, config)
}

func fromLayer(open tarball.Opener, config Config) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("reading the layer: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", cmp.Or(config.Architecture, runtime.GOARCH)
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		Entrypoint: config.Entrypoint,
		Cmd:        config.Cmd,
		Env:        withPath(config.Env),
		User:       config.User,
		WorkingDir: config.WorkingDir,
		StopSignal: config.StopSignal,
	}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("setting the configuration: %w", err)
	}
	return image, nil
}

func withPath(env []string) []string {
	if slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") }) {
		return env
	}
	return append([]string{searchPath}, env...)
}

// layerTar writes the files in the order of their paths, every folder once and before what is in it.
func layerTar(files []File) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	made := map[string]bool{"/": true}
	for i, file := range sorted {
		if !path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || file.Path == "/" {
			return nil, fmt.Errorf("the path %q inside the image is not absolute and clean", file.Path)
		}
		if i > 0 && sorted[i-1].Path == file.Path {
			return nil, fmt.Errorf("the path %q inside the image is given twice", file.Path)
		}
		if err := addFolders(writer, path.Dir(file.Path), made); err != nil {
			return nil, err
		}
		if err := addFile(writer, file); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("ending the layer: %w", err)
	}
	return buffer.Bytes(), nil
}

func addFolders(writer *tar.Writer, folder string, made map[string]bool) error {
	if made[folder] {
		return nil
	}
	if err := addFolders(writer, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	header := &tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(folder, "/") + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}
	if err := writer.WriteHeader(header); err != nil {
		return fmt.Errorf("writing the folder %s: %w", folder, err)
	}
	return nil
}

func addFile(writer *tar.Writer, file File) error {
	content, err := os.ReadFile(file.Source)
	if err != nil {
		return fmt.Errorf("reading the file for %s: %w", file.Path, err)
	}
	mode := file.Mode.Perm()
	if mode == 0 {
		mode = 0o755
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(file.Path, "/"), Size: int64(len(content)), Mode: int64(mode), ModTime: time.Unix(0, 0),
	}
	if err := writer.WriteHeader(header); err != nil {
		return fmt.Errorf("writing the header of %s: %w", file.Path, err)
	}
	if _, err := writer.Write(content); err != nil {
		return fmt.Errorf("writing %s: %w", file.Path, err)
	}
	return nil
}
