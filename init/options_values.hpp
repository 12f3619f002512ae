// SPDX-License-Identifier: MIT
// How values of the command line are read and shown. Private to init/options.cpp.
#pragma once

#include "init/options.hpp"

namespace xylem::init {

bool read_console(Options& options, const Option::Value& value);
void show_console(const Options& options, text::Sink& out);
bool read_conswitch(Options& options, const Option::Value& value);
void show_conswitch(const Options& options, text::Sink& out);
bool read_conring_size(Options& options, const Option::Value& value);
bool read_vga(Options& options, const Option::Value& value);
bool read_dom0_mem(Options& options, const Option::Value& value);
void show_dom0_mem(const Options& options, text::Sink& out);
bool read_dom0_max_vcpus(Options& options, const Option::Value& value);
void show_dom0_max_vcpus(const Options& options, text::Sink& out);
bool read_timestamps(Options& options, const Option::Value& value);
bool read_reboot(Options& options, const Option::Value& value);
bool read_watchdog(Options& options, const Option::Value& value);

void show_size(u64 bytes, text::Sink& out);
void show_thresholds(const console::Thresholds& thresholds, text::Sink& out);
void show_uart(const uart::Config& config, text::Sink& out);

}  // namespace xylem::init
