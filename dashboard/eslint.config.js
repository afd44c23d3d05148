import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import typescript from "typescript-eslint";

export default typescript.config(
  { ignores: ["dist", "src/api/schema.ts"] },
  js.configs.recommended,
  ...typescript.configs.recommended,
  hooks.configs.flat["recommended-latest"] ?? hooks.configs.flat.recommended,
  {
    rules: {
      // every name that is shown goes through React's text nodes
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }],
      "no-restricted-syntax": ["error", { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "names from containers would be code" }],
      "no-restricted-globals": ["error", { name: "fetch", message: "only api/request.ts asks the backend" }],
      eqeqeq: "error",
    },
  },
  { files: ["src/api/request.ts", "src/live/hub.ts"], rules: { "no-restricted-globals": "off" } },
);
