# Debian package, and the file whose presence says that it is installed.
#
# What it takes to build and run.
DEPS := \
  gcc                /usr/bin/gcc \
  gcc-multilib       /usr/share/doc/gcc-multilib \
  libc6-dev          /usr/include/stdio.h \
  libcapstone-dev    /usr/include/capstone/capstone.h \
  libelf-dev         /usr/include/libelf.h \
  libjson-c-dev      /usr/include/json-c/json.h \
  libconfig-dev      /usr/include/libconfig.h \
  libncurses-dev     /usr/include/ncurses.h \
  libtraceevent-dev  /usr/include/traceevent/event-parse.h

# What the tests need besides.
TEST_DEPS := \
  libcriterion-dev   /usr/include/criterion/criterion.h \
  qemu-system-x86    /usr/bin/qemu-system-i386 \
  clang-format       /usr/bin/clang-format \
  cppcheck           /usr/bin/cppcheck \
  chromium           /usr/bin/chromium \
  patch              /usr/bin/patch \
  cmark-gfm          /usr/bin/cmark-gfm \
  busybox            /bin/busybox \
  xz-utils           /usr/bin/xz \
  bochs              /usr/bin/bochs \
  bochsbios          /usr/share/bochs/BIOS-bochs-latest \
  vgabios            /usr/share/vgabios/vgabios.bin
