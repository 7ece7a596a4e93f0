{
  description = "Airlock: runs granted commands on the host, for containers that hold no credential";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { nixpkgs, ... }:
    let
      wheels = {
@WHEELS@
      };
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      build =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          python = pkgs.python3Packages;
          describe = pname: dependencies: {
            inherit pname dependencies;
            inherit (wheels.${pname}) version;
            format = "wheel";
            dontCheckRuntimeDeps = true; # nixpkgs has one version of each library
            src = pkgs.fetchurl (wheels.${pname}.${system} or wheels.${pname}.any);
          };
          wire = python.buildPythonPackage (describe "airlock-wire" [ python.msgspec ]);
          modules = python.buildPythonPackage (
            describe "airlock-modules" [
              wire
              python.msgspec
            ]
          );
          shim = python.buildPythonPackage (describe "airlock-shim" [ ]);
        in
        python.buildPythonApplication (
          describe "airlock-daemon" (
            [
              wire
              modules
              shim
            ]
            ++ map (name: python.${name}) [
@LIBRARIES@
            ]
          )
        );
    in
    {
      packages = nixpkgs.lib.genAttrs systems (system: {
        default = build system;
      });
    };
}
