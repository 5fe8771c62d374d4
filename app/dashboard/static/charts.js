// Draws every figure[data-chart] from the JSON it holds, on load and after htmx has swapped.
"use strict";
