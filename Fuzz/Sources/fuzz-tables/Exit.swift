// SPDX-License-Identifier: Apache-2.0

import Glibc

func exitProcess(_ status: CInt) -> Never { exit(status) }
